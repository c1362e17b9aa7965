"""Agents that events start, live and without a model: plan, code and review, until the review approves.

Run it with ``make demo-runner``. The agent files are those of ``orc agent template``, unchanged; a script
plays the program ``claude`` that they name (``stand_in_claude.py``). Everything is in a temporary folder.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator import Orchestrator

HERE = Path(__file__).resolve().parent
REQUEST = "prds/greet.md"
WANTED = (
    "Write greet.py. It greets the name on its command line, and the world if the name is empty.\n"
)
PACE = "0.4"
LONGEST = 50.0
"""Seconds after which the demo gives up."""


def main(pace: str = PACE) -> None:
    with TemporaryDirectory(prefix="orc-demo-") as folder:
        project = Project(Path(folder).resolve(), pace)
        (project.folder / "prds").mkdir()
        (project.folder / REQUEST).write_text(WANTED)
        project.show("orc init")
        project.show("orc agent template add plan-code-review")
        project.show("orc trust plan code review")
        project.show(f"cat {REQUEST}")
        with project.running():
            project.show(f"busytown plan {REQUEST} --worker ann", is_quiet=True)
            project.follow()
        project.show("cat plans/greet.md")
        project.show("python greet.py Ann")
        project.show("python greet.py ''")
    print(
        "\nThe agent files are those of `orc agent template`; a script played `claude` for them."
        "\nThe folder of this demo is deleted. The guide is docs/guides/runner.md."
    )


class Project:
    """A project whose commands see a user folder and programs of their own."""

    def __init__(self, folder: Path, pace: str) -> None:
        self.folder = folder
        programs = folder / "programs"
        programs.mkdir()
        (programs / "python").symlink_to(sys.executable)
        claude = programs / "claude"
        claude.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "stand_in_claude.py"}" {pace} "$@"\n'
        )
        claude.chmod(0o755)
        own = {name: value for name, value in os.environ.items() if not name.startswith("ORC")}
        path = [str(programs), str(Path(sys.executable).parent), own.get("PATH", os.defpath)]
        self.variables = own | {
            "PATH": os.pathsep.join(path),
            **dict.fromkeys(("HOME", "XDG_DATA_HOME"), str(folder / "user")),
        }

    def show(self, line: str, *, is_quiet: bool = False) -> None:
        """Print a command, and run it."""
        print(f"\n$ {line}", flush=True)
        output = subprocess.DEVNULL if is_quiet else None
        subprocess.run(
            shlex.split(line), cwd=self.folder, env=self.variables, stdout=output, check=True
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the runner meanwhile; its lines appear as they come."""
        print("\n$ orc runner run &", flush=True)
        self._runner = subprocess.Popen(
            ["orc", "runner", "run"], cwd=self.folder, env=self.variables
        )
        try:
            self._until("subscription.opened", 3)
            yield
        finally:
            self._runner.terminate()
            self._runner.wait()

    def follow(self) -> None:
        """Wait until the review has approved, and the planner knows it."""
        approved = next(
            event
            for event in self._events("review.created")
            if json.loads(bytes(event.payload))["verdict"] == "approve"
        )
        next(
            event
            for event in self._events("subscription.finished")
            if json.loads(bytes(event.payload))["event"] == approved.id
        )

    def _until(self, type: str, count: int) -> None:
        events = self._events(type)
        for _ in range(count):
            next(events)

    def _events(self, type: str) -> Iterator[object]:
        """The events of a type as they come; the demo ends if the runner does, or if it takes too long."""
        deadline = time.monotonic() + LONGEST
        with Orchestrator.open(self.folder / ".orchestrator") as orc:
            seen = 0
            while time.monotonic() < deadline and self._runner.poll() is None:
                events = orc.events.read(since=seen, first=100)
                yield from (event for event in events if event.type == type)
                seen = events[-1].id if events else seen
                time.sleep(0.05)
        sys.exit("The runner ended, or the agents were not ready in time.")


if __name__ == "__main__":
    main(*sys.argv[1:])
