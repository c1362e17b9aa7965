"""All parts of the stress suite one after the other, and a table: ``python -m tests.stress [--quick]``.

The quick forms take some minutes together; without ``--quick`` a run takes hours. Each part is a process of
its own, because they limit, fill and mount.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .part import say

PARTS = (
    "sweep",
    "mutations",
    "power",
    "soak",
    "model",
    "limits",
    "fuzz",
    "security",
    "runner_attacks",
    "runner",
    "delivery",
    "database",
)
"""By their modules; one that is not there is named in the table."""

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def model(quick: bool, seed: int | None) -> list[str]:
    """Part 6 are tests: the state machines over all nouns and the runner, here with more examples."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/engine/test_model.py",
        "tests/supervisor/test_model.py",
    ]
    return [*words, *([f"--hypothesis-seed={seed}"] if seed is not None else [])]


def command(name: str, quick: bool, seed: int | None, figures: Path) -> list[str] | None:
    """The command for a part; None if the part does not exist."""
    if name == "model":
        there = (ROOT / "tests/engine/test_model.py").exists()
        return model(quick, seed) if there else None
    source = HERE / f"{name}.py"
    if not source.exists() or "__main__" not in source.read_text():
        return None
    words = [sys.executable, "-m", f"tests.stress.{name}", "--json", str(figures)]
    return [
        *words,
        *(["--quick"] if quick else []),
        *(["--seed", str(seed)] if seed is not None else []),
    ]


def figures_of(path: Path) -> dict[str, Any]:
    """The figures that a part wrote."""
    try:
        figures = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return figures if isinstance(figures, dict) else {}


def _verdict(status: int, figures: dict[str, Any]) -> str:
    """The verdict in a word; a part without a trial is not a success."""
    if status:
        return f"FAILED ({status})"
    return "skipped" if figures.get("skipped") and not figures.get("cases") else "holds"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress")
    parser.add_argument("--quick", action="store_true", help="the short forms that CI runs")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", metavar="PARTS", help="some parts: limits,fuzz")
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else PARTS
    rows, everything, failed = [], {}, False
    environment = {**os.environ, "ORC_EXAMPLES": "100" if given.quick else "10000"}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / f"{name}.json"
            words = command(name, given.quick, given.seed, path)
            if words is None:
                rows.append((name, "not there", "", "", ""))
                continue
            say(f"== {name}")
            begun = time.monotonic()
            status = subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode
            figures = everything[name] = figures_of(path)
            failed = failed or status != 0
            rows.append(
                (
                    name,
                    _verdict(status, figures),
                    figures.get("cases", figures.get("runs", "")),
                    figures.get("violations", ""),
                    f"{time.monotonic() - begun:.0f} s",
                    "; ".join(f"{what}: {why}" for what, why in figures.get("skipped", {}).items()),
                )
            )
    say("")
    for row in (("part", "verdict", "cases", "violations", "time", "skipped"), *rows):
        cells = [len(cell) if isinstance(cell, list) else cell for cell in row]
        say("{:<10} {:<11} {:>8} {:>10} {:>7}  {}".format(*(map(str, [*cells, ""][:6]))))
    if given.json:
        Path(given.json).write_text(json.dumps(everything, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
