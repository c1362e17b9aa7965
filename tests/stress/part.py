"""The common base of all parts of the stress suite: options, figures, verdict.

A part counts its trials, names what it could not try and why, and stores each violation as a file from which
it can be run again.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASES = Path(os.environ.get("ORC_STRESS_CASES", "/tmp/orc-stress-cases"))
"""Where cases that failed are kept."""

_SHOWN = 20


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Part:
    """One part of the suite while it runs."""

    def __init__(self, name: str, *, quick: bool, seed: int) -> None:
        self.name, self.quick, self.seed = name, quick, seed
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.figures: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}
        self.violations: list[str] = []
        self._begun = time.monotonic()

    def count(self, what: str, number: int = 1) -> None:
        """Add to a figure."""
        self.counts[what] += number

    def skip(self, what: str, why: str) -> None:
        """Note what cannot be tried here, and why."""
        self.skipped[what] = why

    def violated(self, what: str, case: Any = None) -> None:
        """Note a violation of the contract, and store the case so that it can be run again."""
        where = ""
        if case is not None and len(self.violations) < 1000:
            CASES.mkdir(parents=True, exist_ok=True)
            path = CASES / f"{self.name}-{self.seed}-{len(self.violations)}.json"
            path.write_text(
                json.dumps({"part": self.name, "what": what, "case": case}, default=repr)
            )
            where = f" [case {path}]"
        self.violations.append(what)
        if len(self.violations) <= _SHOWN:
            say(f"VIOLATION {self.name} (seed {self.seed}): {what}{where}")

    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def record(self) -> dict[str, Any]:
        """All figures for programs."""
        return {
            "part": self.name,
            "seed": self.seed,
            "quick": self.quick,
            "seconds": round(self.seconds(), 1),
            "cases": sum(self.counts.values()),
            "violations": len(self.violations),
            "counts": dict(self.counts),
            "figures": self.figures,
            "skipped": self.skipped,
        }

    def show(self) -> None:
        """Print every figure, then a summary in a line."""
        for what, number in sorted(self.counts.items()):
            say(f"  {number:>8}  {what}")
        for what, value in self.figures.items():
            say(f"  {what}: {value}")
        for what, why in self.skipped.items():
            say(f"  skipped {what}: {why}")
        text = self.record()
        say(
            f"{self.name}: {text['cases']} cases, {text['violations']} violations,"
            f" {text['seconds']} s, seed {self.seed}"
        )


def run(
    name: str, body: Callable[[Part], None], replay: Callable[[Any], None] | None = None
) -> None:
    """Be the program ``python -m tests.stress.NAME``."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.stress.{name}")
    parser.add_argument("--quick", action="store_true", help="the short form that CI runs")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    if replay is not None:
        parser.add_argument("--case", metavar="FILE", help="run one kept case again")
    given = parser.parse_args()
    if replay is not None and given.case:
        replay(json.loads(Path(given.case).read_text())["case"])
        return
    seed = given.seed if given.seed is not None else (1 if given.quick else int(time.time()))
    part = Part(name, quick=given.quick, seed=seed)
    try:
        body(part)
    except Exception as error:  # a harness that fell over has shown nothing
        traceback.print_exc()
        part.violated(f"the harness itself failed: {error!r}")
    part.show()
    if given.json:
        Path(given.json).write_text(json.dumps(part.record(), default=repr))
    sys.exit(1 if part.violations else 0)


def fast_folder() -> str:
    """A folder in memory if possible, so that thousands of boards need no disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.mkdtemp(prefix="orc-stress-", dir=memory)
