"""``python -m benchmarks``: all figures as a table and as JSON. A missed bound is not an error."""

import argparse
import os
import sys
import tempfile
from math import isnan
from time import perf_counter

from benchmarks import figures
from benchmarks.boards import Boards
from benchmarks.measure import ROOT

_DISK = "/var/tmp"
"""A place on a disk: ``/tmp`` may be memory, where a sync costs nothing."""


def options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--json",
        metavar="PATH",
        default=os.path.join(ROOT, "benchmarks", "results.json"),
        help="where the figures are kept (%(default)s)",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        choices=list(figures.ALL),
        help=f"one row, may be repeated: {', '.join(figures.ALL)}",
    )
    parser.add_argument("--quick", action="store_true", help="boards a tenth as big, fewer rounds")
    parser.add_argument(
        "--dir",
        metavar="DIR",
        default=_DISK if os.path.isdir(_DISK) else None,
        help="a folder on the disk to measure (%(default)s)",
    )
    return parser.parse_args()


def tell(sentence: str) -> None:
    """Write progress on stderr."""
    if sys.stderr.isatty():
        print(sentence, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print and store; the exit status is 1 only if a measurement failed."""
    asked = options()
    # A setting of the caller's must not lead to the caller's board.
    for name in ("ORCHESTRATOR_DIR", "ORC_AGENT", "ORC_REQUEST_ID"):
        os.environ.pop(name, None)
    begun, idle = perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="orc-bench-", dir=asked.dir) as folder:
        boards = Boards(folder, quick=asked.quick)
        names = asked.only or list(figures.ALL)
        measured = list(figures.measure(names, boards, quick=asked.quick, tell=tell))
    print(figures.table(measured))
    load = (idle, os.getloadavg()[0])
    print(
        f"\n{perf_counter() - begun:.0f} s on {os.cpu_count()} cores, load {load[0]:.1f} before and"
        f" {load[1]:.1f} after; kept in {asked.json}"
    )
    with open(asked.json, "wb") as file:
        file.write(figures.report(measured, load, quick=asked.quick))
    return int(any(isnan(figure.measured) for figure in measured))


if __name__ == "__main__":
    sys.exit(main())
