"""The doctor: looks a board over, and repairs what can be repaired without losing anything.

It only reads unless it is told to fix. Fixing takes the lock, copies what it will touch to
``state/backups/<time>/``, can be repeated, and is put on record. What needs a person's word (a damaged
log, a log behind its snapshot) is repaired only with an option of its own.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec

from orchestrator import board, snapshot
from orchestrator.core.errors import Damage, OrchestratorError
from orchestrator.core.events import START, Position, decode
from orchestrator.domain.board.commands import Repairs, ended_holds
from orchestrator.domain.knowledge.events import digest_of
from orchestrator.domain.state import State
from orchestrator.engine import Engine
from orchestrator.maintenance.salvage import salvage
from orchestrator.stores.files import disk


class Finding(msgspec.Struct, kw_only=True):
    """What one check found. ``level`` is ok, warning or damage; ``fixed`` says that it was repaired."""

    check: str
    level: str = "ok"
    message: str = ""
    hint: str = ""
    fixed: bool = False


class Examination(msgspec.Struct, kw_only=True):
    """All findings; ``status`` is 0 (clean or repaired), 1 (warnings) or 4 (damage)."""

    status: int
    findings: list[Finding]
    backup: str | None = None
    salvaged: str | None = None


_WAY_OUT = (
    "Restore the log from a backup; or `doctor --salvage-log` writes what can still be read to a new file,"
    " and `import FILE --board NEW` makes a board of it. Keep state.json until then."
)

Repair = Callable[[], None]


class _Doctor:
    """One examination of a board of files."""

    def __init__(self, engine: Engine, folder: str) -> None:
        self.engine = engine
        self.folder = folder
        self.state_folder = os.path.join(folder, "state")
        self.findings: list[Finding] = []
        self.repairs: list[tuple[Finding, Repair, list[str]]] = []
        self.fold = State()
        self.position = START

    def find(
        self,
        check: str,
        level: str,
        message: str,
        *,
        hint: str = "",
        repair: Repair | None = None,
        touches: list[str] | None = None,
    ) -> None:
        """Note a finding, and how it is repaired: which files that touches."""
        finding = Finding(check=check, level=level, message=message, hint=hint)
        self.findings.append(finding)
        if repair is not None:
            finding.hint = hint or "`doctor --fix` repairs it."
            self.repairs.append((finding, repair, touches or []))

    def look(self) -> None:
        """Run every check; those that found nothing are noted as ok."""
        for check in (
            self.log,
            self.snapshot,
            self.knowledge,
            self.leases,
            self.formulas,
            self.leftovers,
            self.modes,
            self.git,
        ):
            if self.log_is_damaged() and check in (self.snapshot, self.knowledge, self.leases):
                message = "not checked: that takes a whole log"
                self.find(check.__name__, "warning", message)
                continue
            before = len(self.findings)
            check()
            if len(self.findings) == before:
                self.findings.append(Finding(check=check.__name__))

    # Checks

    def log(self) -> None:
        """Every line, its checksum, and the chain from the first event on."""
        try:
            for chunk in self.engine.store.read(START):
                self.fold.fold(chunk.events)
                self.position = chunk.end
        except Damage as damage:
            self.find("log", "damage", damage.message, hint=_WAY_OUT)
            return
        path = os.path.join(self.state_folder, "events.jsonl")
        behind = _size(path) - self.position.end
        if behind > 0:
            self.find(
                "log",
                "warning",
                f"{path} ends with {behind} bytes of an interrupted write behind event"
                f" {self.position.id}",
                repair=self._repair_tail,
                touches=[path],
            )

    def _repair_tail(self) -> None:
        with self.engine.store.locked("doctor", 10.0):
            for _ in self.engine.store.read(self.position):
                pass
        self.engine.forget()

    def snapshot(self) -> None:
        """``state.json`` is whole, and says what the log says."""
        path = os.path.join(self.state_folder, "state.json")
        data = self.engine.store.load_snapshot()
        if data is None and not self.position.id:
            return
        found = snapshot.decode(data) if data is not None else None
        if found is None:
            why = "is missing" if data is None else "was changed by something else"
            self._stale(path, f"{path} {why}")
            return
        state, position = found
        if position.id > self.position.id:
            self.find(
                "snapshot",
                "damage",
                f"The log ends at event {self.position.id}, but {path} goes up to {position.id}",
                hint="Restore the newer log; `doctor --fix --accept-log` gives up what it lacks.",
            )
        elif not self._agrees(state, position):
            self._stale(path, f"{path} does not say what the log says at event {position.id}")

    def _stale(self, path: str, message: str) -> None:
        self.find("snapshot", "warning", message, repair=self._rewrite_snapshot, touches=[path])

    def _rewrite_snapshot(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.state_folder, "state.json"))
        self.engine.forget()
        self.engine.save()

    def _agrees(self, state: State, position: Position) -> bool:
        then = self.fold if position.id == self.position.id else self.engine.at(position.id)
        return msgspec.json.encode(state) == msgspec.json.encode(then)

    def log_is_damaged(self) -> bool:
        """Whether the log does not verify, so that what hangs on a whole fold cannot be checked."""
        return any(f.check == "log" and f.level == "damage" for f in self.findings)

    def knowledge(self) -> None:
        """Every topic has its file; an interrupted write is finished, an edit by hand is reported."""
        for name, topic in self.fold.knowledge.items():
            path = os.path.join(self.folder, "knowledge", f"{name}.md")
            try:
                digest = digest_of(self.engine.read_document(name))
            except OrchestratorError as error:
                self.find("knowledge", "warning", error.message, hint=error.hint)
                continue
            if topic.deleted:
                if digest == topic.digest:
                    self._unfinished(path, name, None)
            elif digest != topic.digest and digest in ("", topic.previous):
                self._unfinished(path, name, topic.versions[-1])

    def _unfinished(self, path: str, name: str, version: int | None) -> None:
        def finish() -> None:
            if version is None:
                self.engine.store.delete_document(name)
                return
            written = decode(self.engine.event(version))
            document = written.document() if written else None
            if document is not None and document[1] is not None:
                self.engine.store.write_document(name, document[1].encode())

        message = f"{path} is not what the log says: its last write was interrupted"
        self.find("knowledge", "warning", message, repair=finish, touches=[path])

    def leases(self) -> None:
        """Claims and locks whose time is over; the next claim takes them anyway."""
        now = self.engine.now()
        lapsed = [task.id for task in self.fold.schedule.running() if task.has_lapsed(now)]
        ended = [resource for resource, _ in ended_holds(self.fold, now)]
        if lapsed or ended:
            message = f"Leases have ended: {', '.join([*lapsed, *ended][:10])}"
            self.find("leases", "warning", message, repair=lambda: None)

    def formulas(self) -> None:
        """Every formula of the board can be cooked."""
        from orchestrator.formulas import compile_formula, library, load

        try:
            names = library.own(self.folder)
        except OrchestratorError as error:
            self.find("formulas", "warning", error.message, hint=error.hint)
            return
        for name in names:
            try:
                compile_formula(load(name, self.folder), strict=False)
            except OrchestratorError as error:
                hint = f"Mend it; `formula validate {name}` names every place."
                self.find("formulas", "warning", error.message, hint=hint)

    def leftovers(self) -> None:
        """Temporary files of interrupted writes."""
        for folder in self._folders():
            for name in disk.names_in(folder):
                if name.endswith(".new"):
                    path = os.path.join(folder, name)
                    self.find(
                        "leftovers",
                        "warning",
                        f"{path} was left by an interrupted write",
                        repair=lambda path=path: os.unlink(path),  # type: ignore[misc]
                        touches=[path],
                    )

    def modes(self) -> None:
        """Nobody else may write the files of the board: the trust boundary is one user."""
        for path in self._files():
            mode = _mode(path)
            if stat.S_ISREG(mode) and mode & (stat.S_IWGRP | stat.S_IWOTH):
                self.find(
                    "modes",
                    "warning",
                    f"{path} can be written by others",
                    repair=lambda path=path, mode=mode: os.chmod(path, stat.S_IMODE(mode) & ~0o022),  # type: ignore[misc]
                )

    def _files(self) -> Iterator[str]:
        for top in self._folders():
            for folder, _, names in os.walk(top):
                yield from (os.path.join(folder, name) for name in names)

    def _folders(self) -> list[str]:
        """Where the board's files are; formulas too, for their commands are run."""
        return [os.path.join(self.folder, name) for name in ("state", "knowledge", "formulas")]

    def git(self) -> None:
        """Inside a git work tree: the lines that keep git from harming the log."""
        if not board.in_git_work_tree(self.folder):
            return
        for path, text in board.git_files(self.folder).items():
            if os.path.islink(path):
                self.find(
                    "git", "warning", f"{path} is a symbolic link", hint="Put the file there."
                )
            elif missing := _missing_lines(path, text):
                self.find(
                    "git",
                    "warning",
                    f"{path} lacks {len(missing)} lines",
                    repair=lambda path=path, missing=missing: _append_lines(path, missing),  # type: ignore[misc]
                    touches=[path],
                )

    # Repairing

    def fix(self) -> str | None:
        """Make every repair that was found; gives the folder of the copies."""
        if not self.repairs:
            return None
        folder = self._back_up([path for _, _, paths in self.repairs for path in paths])
        for finding, repair, _ in self.repairs:
            try:
                repair()
                finding.fixed = True
            except OrchestratorError as error:
                finding.message += f". It could not be repaired: {error.message}"
        names = tuple(dict.fromkeys(f.check for f, _, _ in self.repairs if f.fixed))
        damaged = any(f.level == "damage" and not f.fixed for f in self.findings)
        if names and not damaged:
            Repairs(self.engine).record(names, lapses="leases" in names)
        return folder

    def _back_up(self, paths: list[str]) -> str:
        name = self.engine.now().replace(":", "").replace(".", "")
        folder = os.path.join(self.state_folder, "backups", name)
        disk.make_folder(os.path.dirname(folder))
        disk.make_folder(folder)
        for path in paths:
            if stat.S_ISREG(_mode(path)) or stat.S_ISLNK(_mode(path)):
                target = os.path.join(folder, os.path.relpath(path, self.folder).replace("/", "__"))
                shutil.copy2(path, target, follow_symlinks=False)
        return folder

    def accept_log(self) -> None:
        """A person's word: the log counts, although the snapshot had gone further."""
        for finding in self.findings:
            if finding.check == "snapshot" and finding.level == "damage":
                path = os.path.join(self.state_folder, "state.json")
                self.repairs.append((finding, self._rewrite_snapshot, [path]))


def examine(
    engine: Engine,
    folder: str,
    *,
    fix: bool = False,
    accept_log: bool = False,
    salvage_log: bool = False,
) -> Examination:
    """Look a board over.

    Args:
        engine: The open board.
        folder: Its folder.
        fix: Repair what can be repaired without a person's word.
        accept_log: Also give up what a snapshot knows and the log does not (with ``fix``).
        salvage_log: Write what can be read of a damaged log to a new file, ready for ``import``.
    """
    with disk.naming("examine", folder):
        return _examine(_Doctor(engine, folder), fix, accept_log, salvage_log)


def _examine(doctor: _Doctor, fix: bool, accept_log: bool, salvage_log: bool) -> Examination:
    doctor.look()
    if accept_log:
        doctor.accept_log()
    wanted = salvage_log and doctor.log_is_damaged()
    salvaged = salvage(doctor.state_folder, doctor.engine.now()) if wanted else None
    backup = doctor.fix() if fix else None
    open_levels = {finding.level for finding in doctor.findings if not finding.fixed}
    status = 4 if "damage" in open_levels else 1 if "warning" in open_levels else 0
    return Examination(status=status, findings=doctor.findings, backup=backup, salvaged=salvaged)


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0  # a temporary file of another process, gone by now


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0


def _missing_lines(path: str, text: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            present = set(file.read().splitlines())
    except FileNotFoundError:
        present = set()
    return [line for line in text.splitlines() if line not in present]


def _append_lines(path: str, lines: list[str]) -> None:
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write("".join(f"{line}\n" for line in lines))
