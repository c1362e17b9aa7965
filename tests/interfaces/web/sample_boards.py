"""Boards for the tests of the page: an empty one, a small one with something in every view, a big one."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from benchmarks import boards
from orchestrator import Orchestrator
from orchestrator.core import clock
from orchestrator.domain.tasks.events import TaskClaimed, TaskFailed
from tests.boards import SettableClock, add

HOUR = 3600.0
DAY = 24 * HOUR

HOSTILE = (
    "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    "{{7*7}} ${7*7} \u202egnp.exe [run](javascript:document.title='run')"
)
"""Text of an agent that a careless page would run: markup, templates, links of a script, reversed text."""


def same(text: str) -> str:
    """The text itself."""
    return text


def hostile(text: str) -> str:
    """The text, followed by markup that a page without escaping would run."""
    return f"{text} {HOSTILE}"


def empty(folder: Path) -> None:
    """A board on which nothing has happened."""
    with Orchestrator.open(folder, agent="kim") as orc:
        orc.agents.register("kim", type="human")


def small(folder: Path, text: Callable[[str], str] = same) -> dict[str, str]:
    """A week of a team of five, with something in every view of the page.

    Args:
        folder: Where the board is made.
        text: What agents write instead of a text.

    Returns:
        The ids of some tasks by what they are in the tests.
    """
    made, ids = _week(text)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return dict(ids)


@cache
def _week(text: Callable[[str], str]) -> tuple[Path, dict[str, str]]:
    """The board and its ids, made once for all tests of a process."""
    folder = Path(_made().name) / text.__name__
    ticks = SettableClock(time.time() - 6 * DAY)
    with Orchestrator.open(folder, agent="kim", now=ticks) as orc:
        return folder, _Team(orc, ticks, text).week()


@cache
def _made() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="orc-boards-")


class _Team:
    """What the team does; every call takes some time."""

    def __init__(self, orc: Orchestrator, ticks: SettableClock, text: Callable[[str], str]) -> None:
        self._orc, self._ticks, self._text = orc, ticks, text
        self._end = ticks.seconds + 6 * DAY
        self.ids: dict[str, str] = {}

    def week(self) -> dict[str, str]:
        """Everything, oldest first."""
        self._begin()
        self._first_cycle()
        self._second_cycle()
        self._talk()
        self._workflow()
        self._third_cycle()
        return self.ids

    def _wait(self, hours: float) -> None:
        self._ticks.advance(hours * HOUR)

    def _add(self, key: str, title: str, workstream: str = "build", **facts: object) -> str:
        facts = {"description": self._text(f"What is needed for: {title}"), **facts}
        self.ids[key] = add(self._orc, self._text(title), workstream, **facts)
        return self.ids[key]

    def _do(self, key: str, agent: str, hours: float, result: str = "It works.") -> None:
        self._orc.tasks.claim(self.ids[key], agent=agent, lease="30d")
        self._wait(hours)
        self._orc.tasks.complete(self.ids[key], result=self._text(result), agent=agent)

    def _begin(self) -> None:
        orc, text = self._orc, self._text
        for name, type in (
            ("kim", "human"),
            ("ann", "builder"),
            ("ben", "builder"),
            ("cleo", "reviewer"),
            ("dan", "writer"),
        ):
            orc.agents.register(
                name, type=type, capabilities=["python"] if type == "builder" else []
            )
        orc.workstreams.create("build", priority=1, description=text("The parser and its server"))
        orc.workstreams.create("docs", priority=3, description=text("What users read"))
        orc.workstreams.create("release", priority=2, description=text("Ship it"))
        self._add("grammar", "Write down the grammar", priority=1, estimate=120)
        self._add(
            "parser", "Write the parser", priority=1, needs=[self.ids["grammar"]], estimate=480
        )
        self._add("errors", "Report errors with their line", priority=2, needs=[self.ids["parser"]])
        self._add("server", "Serve the parsed tree", priority=3, touches=["src/server.py"])
        self._add("limits", "Limit the size of a request", priority=4, touches=["src/server.py"])
        self._add("guide", "Write the guide", "docs", needs=[self.ids["parser"]], labels=["docs"])
        self._add("links", "Check all links", "docs", review=True)
        self._add("logo", "Draw a logo", "docs", priority=7)
        self._add("notes", "Write the release notes", "release", needs=[self.ids["guide"]])
        self._add("sign", "Sign the packages", "release", due=clock.timestamp(self._end + 2 * DAY))
        orc.convoys.create(
            "beta",
            [self.ids[key] for key in ("grammar", "parser", "errors", "guide")],
            description=text("What the first users get"),
            notify=["kim"],
        )
        orc.goals.create(
            "beta",
            [self.ids["errors"], self.ids["notes"]],
            due=clock.timestamp(self._end + 3 * DAY),
            description=text("Five users have it"),
        )

    def _first_cycle(self) -> None:
        orc, text = self._orc, self._text
        orc.plan()
        self._wait(1)
        self._do("grammar", "ann", 5, "The grammar has 41 rules; two are ambiguous.")
        orc.knowledge.write(
            "grammar", text("# Grammar\n\nThe **rules** are in `grammar.txt`."), agent="ann"
        )
        for number in range(6):
            self._add(f"case {number}", f"Test case {number + 1}")
            self._do(f"case {number}", "ben" if number % 2 else "dan", 3 + number)
        orc.tasks.claim(self.ids["logo"], agent="dan")
        self._wait(2)
        orc.tasks.fail(self.ids["logo"], reason=text("Nobody here can draw"), agent="dan")

    def _second_cycle(self) -> None:
        orc, text = self._orc, self._text
        orc.plan()
        self._wait(20)
        orc.tasks.claim(self.ids["links"], agent="dan")
        orc.knowledge.write(
            "grammar",
            text("# Grammar\n\nThe rules are in `grammar.txt`.\n\n- 41 rules\n- two ambiguous"),
            agent="ben",
            tags=["parser"],
        )
        self._wait(4)
        orc.tasks.complete(self.ids["links"], result=text("212 links, all work"), agent="dan")
        orc.decisions.add(
            text("The parser is written by hand"),
            context=text("Generators give poor errors."),
            decision=text("Recursive descent."),
            consequences=text("More lines, better messages."),
            task=self.ids["grammar"],
            agent="ann",
        )
        orc.tasks.block(self.ids["sign"], reason=text("The key has expired"), agent="kim")
        self._wait(15)

    def _talk(self) -> None:
        orc, text = self._orc, self._text
        sent = orc.mail.send(
            "kim", text("The key expires"), text("Renew it today."), agent="ben", priority="high"
        )
        orc.mail.reply(sent.id, text("I ask for a new one."), agent="kim")
        orc.mail.send(
            "ann", text("Two rules are ambiguous"), text("See topic grammar."), agent="ben"
        )
        orc.tasks.note(self.ids["parser"], text("Begin with expressions."), agent="kim")
        orc.locks.acquire("main branch", agent="ben", ttl="30d")
        orc.locks.acquire("docs/*", agent="dan", ttl="30d", shared=True)
        orc.events.log("ben", "build.passed", commit="4c1f0aa", note=text("All green"))

    def _workflow(self) -> None:
        orc, text = self._orc, self._text
        cooked = orc.formulas.cook("feature", {"feature": text("Login"), "approval": "true"})
        poured = orc.workflows.pour(cooked, workstream="build")
        self.ids["workflow"] = poured.root.id
        self.ids["design"], self.ids["implement"] = (step.id for step in poured.steps[:2])
        self._wait(2)
        self._do("design", "cleo", 6, "A form, a session, a cookie.")

    def _third_cycle(self) -> None:
        orc, text = self._orc, self._text
        orc.plan()
        self._wait(4)
        for number, (agent, hours) in enumerate(
            [("ann", 5), ("ben", 3), ("dan", 7), ("ann", 4), ("ben", 6)]
        ):
            self._add(f"check {number}", f"Check {number + 1} of the grammar")
            self._do(f"check {number}", agent, hours, "As the grammar says.")
        self._add("fuzz", "Fuzz the tokens")
        orc.tasks.claim(self.ids["fuzz"], agent="ben")
        self._wait(4)
        orc.tasks.fail(self.ids["fuzz"], reason=text("The fuzzer does not build"), agent="ben")
        orc.knowledge.write("fuzzing", text("It needs another compiler."), agent="ben")
        self._wait(self._hours_left() - 6)
        orc.tasks.claim(self.ids["parser"], agent="ann", lease="30d")
        orc.tasks.claim(self.ids["server"], agent="ben", lease="30d")
        self._wait(3)
        orc.permissions._request("Bash", {"command": text("rm -r build")}, "ann", 30 * DAY)
        orc.permissions._request("WebFetch", {"url": "https://example.org/"}, "ben", 30 * DAY)
        self._ticks.seconds = self._end - 60

    def _hours_left(self) -> float:
        return (self._end - self._ticks.seconds) / HOUR


def big(folder: Path, tasks: int = 10_000) -> None:
    """A board of many tasks, some of them done, failed or in work, and a cycle that has begun."""
    writer = boards.Writer(str(folder))
    writer.write(boards.streams())
    writer.write(boards.added(number) for number in range(tasks))
    writer.write(_work(tasks))
    writer.save()
    with Orchestrator.open(folder, agent="kim") as orc:
        orc.agents.register("kim", type="human")
        orc.convoys.create("all", [boards.task_id(number) for number in range(0, tasks, 20)])
        orc.plan(max=20)


def _work(tasks: int) -> Iterator[boards.Fact]:
    until = clock.timestamp(time.time() + 30 * DAY)
    for number in range(tasks // 2):
        agent, task = f"agent-{number % 20}", boards.task_id(number)
        if number % 17 == 0:
            yield agent, TaskClaimed(task=task, lease=1800.0, until=until)
            yield agent, TaskFailed(task=task, reason="The part does not exist.")
        else:
            yield from boards.finished(number)
    for number in range(tasks // 2, tasks // 2 + 20):
        yield (
            f"agent-{number % 20}",
            TaskClaimed(task=boards.task_id(number), lease=30 * DAY, until=until),
        )
