"""Part 8: fuzz, by Hypothesis, of everything that is read: the log, the snapshot, frontmatter, knowledge
files, formulas, imports, boards of the original, the command line.

With any input, only our own errors occur, with a status of the contract; no input file is changed; nothing
takes a second or 200 MB. (atheris needs a clang and its own build of Python's runtime, so it is not
used.)
"""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from orchestrator import Orchestrator, snapshot
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Recorded, types
from orchestrator.domain.knowledge import frontmatter
from orchestrator.formulas import compile_formula, load
from orchestrator.integrations.opspawn import import_opspawn
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import GLOBALS, Command, Group
from orchestrator.interfaces.cli.main import main
from orchestrator.interfaces.cli.parameters import Argument
from orchestrator.maintenance.backup import export_board, import_board
from orchestrator.stores.files.folders import FileDocuments
from orchestrator.stores.files.lines import Position, encode_line

from .part import Part, fast_folder, run, say

QUICK, FULL = 60, 20_000
SECOND = 1.0
MEGABYTES = 200
STATUSES = {0, 1, 2, 3, 4, 5, 74, 75}
DATA = Path(__file__).parents[1] / "data" / "opspawn-board"
GOLDEN = Path(__file__).parents[1] / "golden" / "events.jsonl"


class Found(Exception):
    """The contract does not hold."""


class Folder:
    """A folder that is emptied before each example."""

    def __init__(self) -> None:
        self.path = Path(fast_folder())

    def fresh(self) -> Path:
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        return self.path

    def content(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in self.path.rglob("*") if p.is_file()}


@contextlib.contextmanager
def watched(*unchanged: Path) -> Iterator[None]:
    """Check that only our own errors occur, within time and memory, and that the named files do not
    change."""
    before = {path: path.read_bytes() for path in unchanged}
    begun, memory = time.process_time(), _peak()
    try:
        yield
    except OrchestratorError as error:
        if error.exit_status not in STATUSES or not error.message:
            raise Found(f"{type(error).__name__} without sentence or status") from error
        if isinstance(error.__cause__ or error.__context__, MemoryError):
            raise Found("memory ran out") from error
    except Found:
        raise
    except Exception as error:
        raise Found(f"{type(error).__name__} got out: {error}") from error
    # What the process itself used: others use this machine, too.
    if (took := time.process_time() - begun) > SECOND:
        raise Found(f"it took {took:.1f} s of the processor")
    if (more := _peak() - memory) > MEGABYTES:
        raise Found(f"it took {more} MB more")
    for path, data in before.items():
        if not path.exists() or path.read_bytes() != data:
            raise Found(f"{path.name} was changed")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# What is made up

odd_text = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\0\n\r\t\x1b\x9b\u202e\u2028\ufeff\ud800 -_./\\'\"`$:{}[]&*!|>%@#,?~"),
    ),
    max_size=40,
)
odd_value = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), odd_text,
        st.sampled_from([2**63, -(2**63), 2**64, 10**30, 1e308, -0.0, "", "ann", "ws", "..", [], {}]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(odd_text, inner, max_size=4)
    ),
    max_leaves=8,
)  # fmt: skip

GOLDEN_EVENTS: list[dict[str, Any]] = [json.loads(line) for line in GOLDEN.read_text().splitlines()]


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with a part replaced, added or removed."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        choice = draw(st.integers(0, 9))
        if choice == 0:
            return {k: v for k, v in value.items() if k != key}
        if choice == 1:
            return {**value, draw(odd_text): draw(odd_value)}
        return {**value, key: draw(changed(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        position = draw(st.integers(0, len(value) - 1))
        return [*value[:position], draw(changed(value[position])), *value[position + 1 :]]
    return draw(odd_value)


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events like those of a log, with one or two changed, dropped or moved."""
    entries = [dict(event) for event in GOLDEN_EVENTS[: draw(st.integers(1, len(GOLDEN_EVENTS)))]]
    for event in entries:
        event.pop("crc", None)
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, len(entries) - 1))
        choice = draw(st.integers(0, 5))
        if choice == 0 and len(entries) > 1:
            del entries[position]
        elif choice == 1:
            entries[position]["type"] = draw(st.sampled_from(sorted(types())))
        elif choice == 2:
            entries[position] = draw(changed(entries[position]))
        elif isinstance(entries[position], dict) and "payload" in entries[position]:
            entries[position] = {
                **entries[position],
                "payload": draw(changed(entries[position]["payload"])),
            }
    if draw(st.booleans()):
        for number, event in enumerate(entries, start=1):
            if isinstance(event, dict):
                event["id"] = number
    return entries


@st.composite
def spoilt(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some cut off, inserted, removed or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        position, to = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        other = draw(
            st.one_of(
                st.binary(max_size=30),
                st.sampled_from(
                    [b"\0", b"\n", b"\r\n", b"[" * 2000, b"9" * 400, b'"', b"\\ud800", b"{"]
                ),
                st.integers(0, max(0, len(data) - 40)).map(lambda n: data[n : n + 40]),  # noqa: B023
            )
        )
        data = data[:position] + other + data[min(to, position + draw(st.integers(0, 60))) :]
    return data


# The targets: each takes a folder and gives a test that Hypothesis runs


Target = Callable[[Folder], Callable[[], None]]
TARGETS: dict[str, Callable[[Folder, Any], None]] = {}
INPUTS: dict[str, st.SearchStrategy[Any]] = {}


def target(name: str, inputs: st.SearchStrategy[Any]) -> Callable[[Any], Any]:
    def register(body: Callable[[Folder, Any], None]) -> Callable[[Folder, Any], None]:
        TARGETS[name], INPUTS[name] = body, inputs
        return body

    return register


def _use(board: Path, *unchanged: Path) -> None:
    """Read a board in every way, then write to it."""
    for read in (
        lambda o: o.status(), lambda o: o.tasks.all(), lambda o: o.events.read(last=100),
        lambda o: o.knowledge.search("a"), lambda o: o.agents.all(), lambda o: o.locks.all(),
        lambda o: export_board(o.engine, io.StringIO()), lambda o: o.collect(since=0),
    ):  # fmt: skip
        with watched(*unchanged):
            read(Orchestrator.open(board, light=True, timeout=0.2))
    with watched(*unchanged):
        from orchestrator.maintenance.doctor import examine

        examine(Orchestrator.open(board, light=True, timeout=0.2).engine)
    for write in (
        lambda o: o.workstreams.create("new"), lambda o: o.tasks.next(agent="ann"),
        lambda o: o.plan(), lambda o: o.knowledge.append("findings", "more"),
    ):  # fmt: skip
        with watched():
            write(Orchestrator.open(board, light=True, timeout=0.2))


def _board(folder: Folder) -> Path:
    board = folder.fresh() / "board"
    (board / "state").mkdir(parents=True)
    (board / "knowledge").mkdir()
    return board


@target("log, rotten", spoilt(GOLDEN.read_bytes()))
def _(folder: Folder, data: bytes) -> None:
    board = _board(folder)
    log = board / "state" / "events.jsonl"
    log.write_bytes(data)
    _use(board, log)


@target("log, forged", events())
def _(folder: Folder, entries: list[dict[str, Any]]) -> None:
    """Lines with the right checksums and contents that no command writes."""
    board = _board(folder)
    crc, lines = 0, []
    for number, event in enumerate(entries, start=1):
        try:
            raw = msgspec.Raw(msgspec.json.encode(event.get("payload", {})))
            fields = {k: v for k, v in event.items() if k in ("ts", "agent", "type", "v", "more")}
            position = msgspec.convert(
                {"ts": "", "agent": "", "type": "", **fields, "id": number, "payload": raw},
                Recorded,
            )
            line, crc = encode_line(position, crc)
        except (msgspec.MsgspecError, UnicodeEncodeError, AttributeError, OverflowError):
            return
        lines.append(line)
    log = board / "state" / "events.jsonl"
    log.write_bytes(b"".join(lines))
    _use(board, log)


def _golden_snapshot() -> bytes:
    folder = Path(fast_folder())
    try:
        (folder / "board/state").mkdir(parents=True)
        shutil.copy(GOLDEN, folder / "board/state/events.jsonl")
        orc = Orchestrator.open(folder / "board")
        orc.engine.save()
        return (folder / "board/state/state.json").read_bytes()
    finally:
        shutil.rmtree(folder)


SNAPSHOT = _golden_snapshot()


@target("snapshot, rotten", spoilt(SNAPSHOT))
def _(folder: Folder, data: bytes) -> None:
    board = _board(folder)
    log = board / "state" / "events.jsonl"
    shutil.copy(GOLDEN, log)
    (board / "state" / "state.json").write_bytes(data)
    _use(board, log)


@target("snapshot, forged", changed(json.loads(SNAPSHOT)))
def _(folder: Folder, value: Any) -> None:
    """A snapshot with the right checksum and other contents; reading may only fail with a named error."""
    import zlib

    try:
        body = json.dumps(value, indent=2).encode().partition(b"\n")[2].partition(b"\n")[2] + b"\n"
    except (TypeError, ValueError):
        return
    data = snapshot._HEAD % zlib.crc32(body) + body
    with watched():
        snapshot.decode(data, Position)


yaml_text = st.lists(
    st.one_of(
        odd_text,
        st.sampled_from([
            "k: v", "- a", "k: &a x", "l: *a", "!!python/object:x y", "<<: *a", "k: |", "  text", "? a",
            ": b", "{a: b}", "[a, b", "'q", '"\\x', "%YAML 1.1", "---", "...", "k: no", "\t- x", "# c", "k:",
            "tags: [a, b]", "author: 5", "author: [x]", "tags: {a: b}", "tags: a, b", "author: '../x'",
        ]),
    ),
    max_size=8,
).map("\n".join)  # fmt: skip


toml_text = st.lists(
    st.one_of(
        odd_text,
        st.sampled_from([
            "[[steps]]", "id = 'a'", "needs = ['a', 'b']", "[steps.loop]", "count = 9999", "range = '1..9^9'",
            "[[steps.loop.body]]", "[[template]]", "id = '{target}.x'", "expand = 'feature'",
            "condition = '{{v}} == x'", "[vars]", "v = '{{v}}'", "type = 'expansion'", "type = 'aspect'",
            "[[advice]]", "target = '*'", "[advice.before]", "extends = ['feature', 'x']", "[[legs]]",
            "type = 'convoy'", "title = '{{.x}}{{range}}'", "[steps.gate]", "type = 'timer'", "[compose]",
            "aspects = ['x']", "until = 'x'", "max = 0x7fffffff", "verify = ['a {{v}}']",
        ]),
    ),
    max_size=15,
).map("\n".join)  # fmt: skip


@target("formulas", toml_text)
def _(folder: Folder, text: str) -> None:
    board = folder.fresh()
    file = board / "formulas" / "f.formula.toml"
    file.parent.mkdir()
    file.write_text(text, "utf-8", "surrogatepass")
    with watched(file):
        compile_formula(load("f", FileDocuments(str(board))), {"v": text}, strict=False)


@target("frontmatter", yaml_text)
def _(folder: Folder, text: str) -> None:
    with watched():
        metadata, body = frontmatter.split(f"---\n{text}\n---\nbody")
        joined = frontmatter.join(metadata, body)
        if metadata and frontmatter.split(joined)[0] != metadata:
            raise Found(f"{metadata} is not what is read again")


@target(
    "knowledge files",
    st.one_of(
        yaml_text.map(lambda text: f"---\n{text}\n---\nbody".encode("utf-8", "surrogatepass")),
        st.binary(max_size=200),
        odd_text.map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
)
def _(folder: Folder, data: bytes) -> None:
    board = _board(folder)
    file = board / "knowledge" / "findings.md"
    file.write_bytes(data)
    for read in (
        lambda o: o.knowledge.read("findings"), lambda o: o.knowledge.all(),
        lambda o: o.knowledge.search("a"), lambda o: o.status(), lambda o: o.knowledge.document("findings"),
    ):  # fmt: skip
        with watched(file):
            read(Orchestrator.open(board, light=True))
    orc = Orchestrator.open(board, light=True)
    with watched():
        orc.knowledge.append("findings", "more")
        if data not in (file.read_bytes(), b"") and not any(
            position.type == "knowledge.edited" for position in orc.events.read()
        ):
            raise Found("an edit by hand was overwritten and not recorded")
    with watched():
        orc.knowledge.history("findings")
    with watched():
        orc.knowledge.read("findings", version=1)


HEADER = '{"format":"orchestrator-board","version":1}\n'
_export = HEADER + "".join(
    json.dumps({k: v for k, v in event.items() if k != "crc"}) + "\n" for event in GOLDEN_EVENTS
)


def _import(folder: Folder, text: bytes) -> None:
    top = folder.fresh()
    file = top / "board.jsonl"
    file.write_bytes(text)
    board = top / "board"
    orc = Orchestrator.open(board, light=True)
    taken = False
    with watched(file), open(file, encoding="utf-8", newline="\n") as lines:
        import_board(orc.engine, lines)
        taken = True
    log = board / "state" / "events.jsonl"
    if not taken and log.exists() and log.stat().st_size:
        raise Found("refused, and yet something was appended")
    if {p.name for p in top.iterdir()} - {"board", "board.jsonl"}:
        raise Found("a file appeared outside the board")
    if taken:
        fresh = Orchestrator.open(board, light=True)
        try:
            fresh.workstreams.create("new-after-import")
            fresh.status()
            fresh.tasks.all()
            fresh.plan()
        except OrchestratorError as error:
            if error.exit_status == 4 or error.code == "bad_name":
                raise Found(f"the import was taken, but now: {error.message}") from error
        except Exception as error:
            raise Found(f"the import was taken, but now {type(error).__name__}: {error}") from error


@target("import, rotten", spoilt(_export.encode()))
def _(folder: Folder, data: bytes) -> None:
    _import(folder, data)


@target("import, forged", events())
def _(folder: Folder, entries: list[dict[str, Any]]) -> None:
    text = HEADER + "".join(json.dumps(event) + "\n" for event in entries)
    _import(folder, text.encode("utf-8", "surrogatepass"))


OLD_STATE = json.loads((DATA / "state.json").read_text())
OLD_LOG = [json.loads(line) for line in (DATA / "events.jsonl").read_text().splitlines() if line][
    :8
]


@target(
    "board of the original",
    st.tuples(
        changed(OLD_STATE),
        st.lists(changed(OLD_LOG[0]), max_size=3),
        st.one_of(odd_text, st.just("<!-- Updated by ann at 2026-02-06T07:46:31.721Z -->\nx"),
                  odd_text.map(lambda t: f"<!-- Updated by {t} at {t} -->\n")),
        st.sampled_from(["topic", "a b", "-x", "con", "x" * 201, "."]),
    ),
)  # fmt: skip
def _(folder: Folder, given_: tuple[Any, list[Any], str, str]) -> None:
    state, log, text, topic = given_
    top = folder.fresh()
    source = top / "source"
    (source / "knowledge").mkdir(parents=True)
    (source / "state.json").write_text(json.dumps(state))
    (source / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    with contextlib.suppress(OSError):
        (source / "knowledge" / f"{topic}.md").write_bytes(text.encode("utf-8", "surrogatepass"))
    files = [path for path in source.rglob("*") if path.is_file()]
    board = top / "board"
    orc = Orchestrator.open(board, light=True)
    taken = False
    with watched(*files):
        import_opspawn(orc.engine, str(source))
        taken = True
    events_file = board / "state" / "events.jsonl"
    if not taken and events_file.exists() and events_file.stat().st_size:
        raise Found("refused, and yet something was appended")
    if taken:
        try:
            Orchestrator.open(board, light=True).workstreams.create("new-after-import")
            Orchestrator.open(board, light=True).status()
        except OrchestratorError as error:
            if error.exit_status == 4:
                raise Found(f"the import was taken, but now: {error.message}") from error


# The command line


def commands(
    group: Group, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Command]]:
    for inner in group.groups:
        yield from commands(inner, (*words, inner.name))
    yield from (((*words, command.name), command) for command in group.declared)


COMMANDS = list(commands(BOARD))
word = st.one_of(
    st.sampled_from(["ws", "T", "ann", "git", "1", "0", "-1", "", "--", "-", "--json", "--help", "--bogus",
                     "-x", "30m", "0s", "k=v", "k=", "=v", "k=[1", "99999999999999999999", "nan", "1e999",
                     "build", "findings", "*", "**", "a:shared", "--agent", "--agent=", "--last=-1"]),
    odd_text.filter(lambda text: "\0" not in text and not any("\ud800" <= c < "\udc80" for c in text)),
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command line: a command with its options and arguments, and random words."""
    path, command = draw(st.sampled_from(COMMANDS))
    words = list(path)
    for option in (*command.options, *GLOBALS):
        if option.name not in ("global_board", "follow", "wait", "file") and not draw(
            st.integers(0, 4)
        ):
            words.append(draw(st.sampled_from(option.opts)))
            if not option.is_flag:
                words.append(draw(word))
    for argument in command.arguments:
        if draw(st.integers(0, 9)):
            words += _given(draw, argument)
    for _ in range(draw(st.integers(0, 2)) // 2):
        words.insert(draw(st.integers(0, len(words))), draw(word))
    return words


def _given(draw: st.DrawFn, argument: Argument) -> list[str]:
    known = {
        "workstreams.name": "ws",
        "tasks.id": "t1",
        "agents.id": "ann",
        "knowledge.name": "topic",
        "locks.resource": "git",
    }
    if argument.type.completes in known and draw(st.integers(0, 2)):
        first = [known[argument.type.completes]]
    else:
        first = [draw(word)]
    return first + [
        draw(word) for _ in range(draw(st.integers(0, 2)) if argument.nargs == -1 else 0)
    ]


def _safe(words: list[str]) -> bool:
    """Whether a line is allowed: it does not wait for ever, read outside files, or create other boards."""
    flags = ("--follow", "-f", "--wait", "--watch", "--board", "--file")
    commands = {"init", "export", "run", "watch", "install", "mcp", "rules", "serve"}
    commands |= {"dashboard", "deliver", "notify"}
    if "runner" in words and not {"start", "restart"}.isdisjoint(words):
        return False
    return not any(w.startswith(flags) for w in words) and commands.isdisjoint(words)


@target("command line", lines().filter(_safe))
def _(folder: Folder, words: list[str]) -> None:
    top = folder.path
    board = top / "board"
    if not board.exists() or (board / "state/events.jsonl").stat().st_size > 100_000:
        folder.fresh()
        orc = Orchestrator.open(board)
        orc.workstreams.create("ws")
        orc.tasks.add("ws", title="T")
        orc.knowledge.write("topic", "text")
        orc.close()
    outside = {p.name for p in top.iterdir()}
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape"), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(b"from stdin"))
    os.chdir(top)
    begun, status = time.process_time(), -1
    signal.setitimer(signal.ITIMER_REAL, 20)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["--board", str(board), *words])
            out.flush()
    except SystemExit as end:
        raise Found(f"{words!a}: SystemExit {end.code} got out") from end
    except Exception as error:
        raise Found(f"{words!a}: {type(error).__name__} got out: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdin = before
        os.chdir("/")
    shown = out.buffer.getvalue().decode("utf-8", "surrogateescape") + err.getvalue()
    if status not in STATUSES:
        raise Found(f"{words!a}: exit {status}")
    if status in (4, 74, 75):
        raise Found(f"{words!a}: exit {status}: {shown!a:.300}")
    if "Traceback" in shown:
        raise Found(f"{words!a}: a traceback")
    if "--json" not in words and any(c in shown for c in "\x1b\x9b\u202e\u2066"):
        raise Found(f"{words!a}: shown raw: {shown!a:.300}")
    if time.process_time() - begun > SECOND:
        raise Found(f"{words!a}: it took {time.process_time() - begun:.1f} s")
    if {p.name for p in top.iterdir()} != outside:
        raise Found(
            f"{words!a}: a file appeared outside the board: {set(os.listdir(top)) - outside}"
        )


# Running them


def fuzz(part: Part, name: str, examples: int) -> None:
    """Run a target until the examples are used up or a violation is found; then find the smallest case."""
    folder = Folder()
    examples_run = 0
    last: list[Any] = []

    @seeded(part.seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(INPUTS[name])
    def test(value: Any) -> None:
        nonlocal examples_run
        examples_run += 1
        last[:] = [value]
        TARGETS[name](folder, value)

    begun = time.monotonic()
    try:
        test()
    except Found as found:
        part.violated(f"{name}: {found}", {"target": name, "input": repr(last[0])})
    except Exception as error:
        part.violated(f"{name}: the harness: {error!r}", {"target": name, "input": repr(last)})
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)
    part.count(name, examples_run)
    part.figures[f"{name}: s"] = round(time.monotonic() - begun, 1)


def body(part: Part) -> None:
    for name in ("ORCHESTRATOR_DIR", "ORC_AGENT", "ORC_REQUEST_ID"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGALRM, _hangs)
    for name in TARGETS:
        fuzz(
            part,
            name,
            QUICK * (5 if name in ("frontmatter", "command line") else 1) if part.quick else FULL,
        )
    part.figures["peak MB"] = _peak()
    part.skip("atheris", "it needs clang and a build of its own; Hypothesis is used")


def _hangs(_number: int, _frame: object) -> None:
    raise Found("it hangs")


def replay(case: dict[str, Any]) -> None:
    """Run a stored input again."""
    from ast import literal_eval

    value = (
        eval(case["input"], {"nan": float("nan"), "inf": float("inf")})
        if "nan" in case["input"] or "inf" in case["input"]
        else literal_eval(case["input"])
    )
    TARGETS[case["target"]](Folder(), value)
    say("nothing found")


if __name__ == "__main__":
    run("fuzz", body, replay)
