"""A day of four agents: they know six commands, and work a board of 15 tasks to its end.

Run it with ``make day``. The agents know ``prime``, ``next``, ``done``, ``fail``, ``review``, ``mail``, and
the answers of these. A check fails at first, a review is rejected at first, one agent dies with a task in its
hands, one finds a bug, and one task fails and is reopened.

It counts the commands, and the tokens that the agents read for each task. The answers are compared with the
log afterwards: each "nothing to do" must have been true, and no agent may have waited while there was work
for it.
"""

import math
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from orchestrator import Orchestrator
from orchestrator.core import clock
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, HELD, Task

ROOT = Path(__file__).resolve().parent.parent

AGENTS = ("ann", "ben", "cleo", "dan")

TOKENS = 800
"""The most tokens that an agent may read for each task."""

CHARACTERS = 4
"""Characters of a token, as everywhere in the toolkit."""


WORK = "w"

PLAN: dict[str, Sequence[str]] = {
    "Write the specification": ("--artifact", "spec.md", "--priority", "1"),
    "Write the lexer": ("--needs", "Write the specification", "--touches", "src/lexer.py"),
    "Write the parser": (
        *("--needs", "Write the specification", "--touches", "src/parser.py"),
        *("--verify", f"{sys.executable} check.py parser.ok"),
    ),
    "Write the configuration": ("--needs", "Write the specification"),
    "Write the messages of errors": ("--needs", "Write the lexer", "--review"),
    "Write the command line": ("--needs", "Write the parser", "--touches", "src/cli.py"),
    "Write the log": ("--needs", "Write the configuration", "--touches", "src/cli.py"),
    "Test the parser": ("--needs", "Write the lexer,Write the parser"),
    "Write the guide": ("--needs", "Write the parser", "--review"),
    "Build the package": ("--needs", "Write the command line,Test the parser"),
    "Build the site": ("--needs", "Write the guide"),
    "Measure the speed": ("--needs", "Test the parser"),
    "Write the changes": ("--needs", "Build the package", "--review"),
    "Release it": (
        "--needs",
        "Build the site,Measure the speed,Write the changes,Write the log,Write the messages of errors",
    ),
    "Announce it": ("--needs", "Release it"),
}
"""The tasks with their options; needs are named by their titles."""

REFUSED_FIRST = "Write the guide"
FAILS_FIRST = "Measure the speed"
FINDS_A_BUG = "Test the parser"
BUG = "Count columns from 1"
DIES = "dan"


@dataclass
class Call:
    """A command that an agent ran, and what it read."""

    agent: str
    words: tuple[str, ...]
    began: float
    ended: float
    status: int
    text: str
    heads: tuple[int, int]

    @property
    def tokens(self) -> int:
        """What the agent read, in tokens."""
        return math.ceil(len(self.text) / CHARACTERS)


@dataclass
class Day:
    """A board that agents work on, and their calls.

    Attributes:
        done_once: Actions that happen only the first time, by the title of their task.
    """

    folder: Path
    calls: list[Call] = field(default_factory=list)
    done_once: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def board(self) -> Path:
        """Where the board is."""
        return self.folder / "board"

    def first_time(self, title: str) -> bool:
        """Whether an action happens for the first time."""
        with self.lock:
            is_first = title not in self.done_once
            self.done_once.add(title)
            return is_first

    def run(self, agent: str, *words: str) -> Call:
        """Run a command as an agent, in a process of its own."""
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("ORC")}
        before, began = self._head(), time()
        done = subprocess.run(
            [sys.executable, ROOT / "cli.py", *words],
            cwd=self.folder,
            env={**inherited, "ORCHESTRATOR_DIR": str(self.board), "ORC_AGENT": agent},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        heads = (before, self._head())
        call = Call(agent, words, began, time(), done.returncode, done.stdout, heads)
        with self.lock:
            self.calls.append(call)
        return call

    def _head(self) -> int:
        """The number of the last event."""
        with Orchestrator.open(self.board) as orc:
            return orc.engine.read().event


class Agent(threading.Thread):
    """An agent: the loop that ``prime`` teaches, and its work."""

    def __init__(self, day: Day, name: str, *, dies: bool = False) -> None:
        super().__init__(name=name, daemon=True)
        self._day = day
        self._dies = dies
        self.error: BaseException | None = None

    def run(self) -> None:
        """Work until nothing is left to do."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  # the main thread reports it
            self.error = error

    def _orc(self, *words: str) -> Call:
        return self._day.run(self.name, *words)

    def _work(self) -> None:
        self._orc("prime")
        while True:
            lease = ("--lease", "2s") if self._dies else ()
            answer = self._orc("next", "--wait", "5m", *lease)
            kind, _, rest = answer.text.partition(": ")
            task, title = rest.partition("\n")[0].partition(" - ")[::2]
            if answer.status == 6:
                return
            if answer.status not in (0, 1):
                raise RuntimeError(f"{answer.words}: {answer.text}")
            if answer.status == 1:
                self._look_around(answer.text)
            elif "review" in kind:
                self._review(task, title)
            elif self._dies:
                return
            else:
                self._do(task, title)

    def _do(self, task: str, title: str) -> None:
        """Work on a task."""
        day = self._day
        if title == "Write the specification":
            (day.folder / "spec.md").write_text("What it does.\n")
        if title == FAILS_FIRST and day.first_time(title):
            self._orc("fail", task, "No quiet machine is free")
            return
        if title == FINDS_A_BUG and day.first_time(title):
            self._orc("add", BUG, "--priority", "1", "--touches", "src/lexer.py")
        if self._orc("done", task, f"{title}: done, see the branch.").status:
            # The answer showed what the failing check wrote.
            (day.folder / "parser.ok").write_text("ok\n")
            self._orc("done", task, f"{title}: done, the check passes now.")

    def _review(self, task: str, title: str) -> None:
        if title == REFUSED_FIRST and self._day.first_time(title):
            self._orc("t", "reject", task, "The guide has no example")
        else:
            self._orc("t", "approve", task, "Reads well")

    def _look_around(self, answer: str) -> None:
        """Finish what I have, read new mail, and reopen a failed task, as the answer says."""
        for task, title in re.findall(r"You have \(1\): (\S+) (.+?) until", answer):
            self._do(task, title)
        for number in re.findall(r"mail read (\d+)", answer):
            self._orc("mail", "read", number)
        for task in re.findall(r"t reopen ([\w.]+)", answer):
            if self._day.first_time(task):
                self._orc("t", "reopen", task)


def play(folder: Path) -> Day:
    """Let the agents work a new board in a folder to its end."""
    day = Day(folder)
    (folder / "check.py").write_text(
        "import os, sys\nname = sys.argv[1]\n"
        "sys.exit(0 if os.path.exists(name) else f'{name} is missing: write it')\n"
    )
    with Orchestrator.open(day.board, agent="ann"):
        pass
    _add_plan(day)
    dying = Agent(day, DIES, dies=True)
    agents = [Agent(day, name) for name in AGENTS if name != DIES]
    dying.start()
    for agent in agents:
        agent.start()
    dying.join()
    agents += [Agent(day, DIES), dying]
    agents[-2].start()
    for agent in agents:
        agent.join()
        if agent.error is not None:
            raise agent.error
    return day


def _add_plan(day: Day) -> None:
    """Add the tasks, as a lead does; this is not counted."""
    ids: dict[str, str] = {}
    day.run("ann", "ws", "create", WORK)
    for title, options in PLAN.items():
        words = [",".join(ids.get(part, part) for part in word.split(",")) for word in options]
        added = day.run("ann", "t", "add", WORK, title, *words)
        ids[title] = added.text.split()[2].rstrip(":")
    day.calls.clear()


# Compare the answers with the log

_CLAIMS = ("task.claimed", "task.review_claimed")
_LATER = "9999"
"""A time after every other."""


def available(state: State, agent: str, now: str) -> list[Task]:
    """The work that an agent could have got, by the rules alone, without the toolkit's queue."""
    running = [t for t in state.tasks.values() if t.status == "in_progress" and t.lease_until > now]
    taken = {text for t in running if t.assigned_to != agent for text in t.touches}

    def is_free(task: Task) -> bool:
        if task.status == "in_review":
            other = task.reviewer not in ("", None, agent) and task.review_until > now
            return task.assigned_to != agent and not other
        if task.status not in ("pending", *HELD) or (
            task.status in HELD and task.lease_until > now
        ):
            return False
        is_done = all(state.tasks[need].status == "done" for need in task.needs)
        return is_done and taken.isdisjoint(task.touches)

    return [task for task in state.tasks.values() if is_free(task)]


def moments(orc: Orchestrator, heads: tuple[int, int]) -> Iterator[tuple[State, str, str]]:
    """The states of a board between two events, each with the time that it began and ended."""
    first, last = heads
    for number in range(first, last + 1):
        state = orc.engine.state_at(number)
        began = orc.engine.event(number).ts
        ended = orc.engine.event(number + 1).ts if number < orc.engine.read().event else _LATER
        leases = [t.lease_until for t in state.tasks.values() if t.status == "in_progress"]
        for lease in sorted(lease for lease in leases if began < lease < ended):
            yield state, began, lease
            began = lease
        yield state, began, ended


def untrue(orc: Orchestrator, call: Call) -> bool:
    """Whether an answer denied work although there was work all the time."""
    if (
        call.words[0] != "next"
        or call.status not in (1, 6)
        or "mail" in call.text.partition("\n")[0]
    ):
        return False
    states = list(moments(orc, call.heads))
    if call.status == 6:
        return not any(all(t.status in ENDED for t in s.tasks.values()) for s, _, _ in states)
    return all(available(state, call.agent, began) for state, began, _ in states)


def idle(orc: Orchestrator, call: Call) -> float:
    """The longest time in seconds that an agent waited although there was work for it."""
    if call.words[0] != "next":
        return 0.0
    longest, since = 0.0, None
    for state, began, ended in moments(orc, call.heads):
        last = orc.engine.event(state.event)
        has_claimed = last.agent == call.agent and last.type in _CLAIMS
        if has_claimed and clock.seconds(last.ts) >= call.began:
            break
        if not available(state, call.agent, began):
            since = None
            continue
        since = max(clock.seconds(began), call.began) if since is None else since
        end = call.ended if ended == _LATER else min(clock.seconds(ended), call.ended)
        longest = max(longest, end - since)
    return longest


@dataclass
class Count:
    """The results of a day."""

    tasks: int
    done: int
    calls: float
    tokens: float
    untrue: list[str]
    idle: float
    by_verb: dict[str, tuple[int, int]]


def count(day: Day) -> Count:
    """Count what the agents ran and read, and judge the answers."""
    with Orchestrator.open(day.board) as orc:
        tasks = orc.tasks.all()
        verbs: dict[str, tuple[int, int]] = {}
        for call in day.calls:
            number, tokens = verbs.get(call.words[0], (0, 0))
            verbs[call.words[0]] = (number + 1, tokens + call.tokens)
        return Count(
            tasks=len(tasks),
            done=sum(task.status == "done" for task in tasks),
            calls=len(day.calls) / len(tasks),
            tokens=sum(call.tokens for call in day.calls) / len(tasks),
            untrue=[f"{call.agent}: {call.text}" for call in day.calls if untrue(orc, call)],
            idle=max(idle(orc, call) for call in day.calls),
            by_verb=verbs,
        )


def main() -> int:
    """Play a day, print the results, and fail if an answer of the board was wrong."""
    with tempfile.TemporaryDirectory(prefix="orc-day-") as folder:
        day = play(Path(folder))
        counted = count(day)
        if "--show" in sys.argv:
            for call in day.calls:
                print(
                    f"{call.agent}$ orc {' '.join(call.words)}   [{call.status}, {call.tokens} tokens]"
                )
                print(call.text)
    print(f"{counted.done} of {counted.tasks} tasks are done")
    print(f"{counted.calls:.1f} commands and {counted.tokens:.0f} tokens a task (at most {TOKENS})")
    for verb, (number, tokens) in sorted(counted.by_verb.items(), key=lambda item: -item[1][1]):
        print(f"  {verb:8} {number:3} times, {tokens / number:.0f} tokens each")
    print(f"{counted.idle:.1f} s was the longest wait of an agent while there was work for it")
    print(f"{len(counted.untrue)} answers were untrue")
    for text in counted.untrue:
        print(text)
    kept = counted.done == counted.tasks and counted.tokens < TOKENS and not counted.untrue
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
