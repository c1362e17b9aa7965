"""Part 4: power loss. Images of a board's file system, taken at random moments under load, mounted and
checked.

The board lies on an ext4 or xfs in a file behind a loop device. While processes work on it, its file is
copied. What is in the file is what the kernel has sent to the disk: data that is only in memory is lost in
the copy, as in a power loss. The file lies on an xfs of its own, which clones a file at one instant: writes
to it wait while it does. (Where there is no such file system the file is read instead, which takes up to a
second; what such a copy holds was never on the disk at one time, so only what is lost counts then.) A copy
that the kernel will not mount is counted and left out, and may not happen often. A worker writes down an
acknowledgement outside of the image after each command, so what was acknowledged before a copy began must be
in it.

The harness proves itself: with the log's sync left out, nearly all images must lack what was acknowledged.

What it does not show: disks that lie about flushes, or that write a sector only in part. What was sent to
the disk counts as being on it, so a flush that is missing behind a write is not seen.
"""

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.store import START
from orchestrator.domain.state import State
from orchestrator.maintenance.doctor import examine

from .part import Part, fast_folder, run

ROOT = Path(__file__).parents[2]
SIZES = {"ext4": 48, "xfs": 320}
"""Megabytes of an image; mkfs.xfs makes none below 300."""

_WORKER = """
import os, sys, time
from orchestrator.core import system
if sys.argv[4] == "unsafe":
    system.sync_data = lambda fd: None  # the log's sync is left out; all others stay
from orchestrator import Orchestrator
board, name, path = sys.argv[1:4]
acks = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
number = 0
while True:
    orc = Orchestrator.open(board, agent=name, timeout=60, light=sys.argv[5] == "light")
    for _ in range(20):
        number += 1
        at = orc.events.log(name, "counted", n=number, text="x" * (number * 37 % 700))
        if number % 10 == 0:
            orc.knowledge.write("topic-" + name, f"version {number}\\n" * 20)
        os.write(acks, b"%d %d\\n" % (at.id, number))
"""


class Unavailable(Exception):
    """Raised if loop devices or file systems are not available here."""


def shell(*words: str) -> str:
    """Run a program; return its output."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


@contextmanager
def mounted(image: Path, *, kind: str) -> Iterator[Path]:
    """The file system of an image, at a folder."""
    point = Path(tempfile.mkdtemp(prefix="orc-power-"))
    # An image and its copy have one UUID, which xfs takes for one file system mounted twice.
    options = "loop,nouuid" if kind == "xfs" else "loop"
    try:
        shell("mount", "-t", kind, "-o", options, str(image), str(point))
        try:
            yield point
        finally:
            gc.collect()  # a board keeps its lock file open until it is collected
            for _ in range(50):
                if (
                    subprocess.run(
                        ["umount", str(point)], capture_output=True, check=False
                    ).returncode
                    == 0
                ):
                    break
                time.sleep(0.1)
            else:
                shell("umount", "-l", str(point))
    finally:
        point.rmdir()


def make_image(kind: str, path: Path, *, megabytes: int) -> None:
    program = f"mkfs.{kind}"
    if shutil.which(program) is None:
        raise Unavailable(f"{program} is not installed")
    if os.geteuid() != 0:
        raise Unavailable("mounting needs root")
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    shell(program, "-q", str(path))


@contextmanager
def shelf(part: Part) -> Iterator[tuple[Path, bool]]:
    """A folder for images, and whether a copy of an image is of a single instant.

    It lies in memory: the disk of a virtual machine is slow, and what counts is the order of writes.
    """
    folder = Path(fast_folder())
    try:
        try:
            make_image("xfs", folder / "shelf", megabytes=8192)  # sparse
            with mounted(folder / "shelf", kind="xfs") as point:
                yield point, True
        except Unavailable as error:
            part.skip("images of one instant", str(error))
            yield folder, False
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Crash:
    """An image: the copy, and the events that were acknowledged before the copying began."""

    def __init__(self, image: Path, copy: Path, notes: list[Path], *, instant: bool) -> None:
        self.acknowledged: set[int] = set()
        for path in notes:
            lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
            self.acknowledged |= {int(line.split()[0]) for line in lines}
        self.copy = copy
        begun = time.monotonic()
        how = ["--reflink=always"] if instant else ["--reflink=never", "--sparse=always"]
        shell("cp", *how, str(image), str(copy))
        self.seconds = time.monotonic() - begun

    def judge(self, kind: str) -> tuple[int, list[str]]:
        """The number of lost acknowledged events, and the other violations."""
        with mounted(self.copy, kind=kind) as point:
            numbers, wrong = _read(point / "board")
        return len(self.acknowledged - numbers), wrong


def _read(board: Path) -> tuple[set[int], list[str]]:
    """The numbers of the events of a board, and what is wrong with it."""
    numbers: set[int] = set()
    wrong = []
    try:
        orc = Orchestrator.open(board, timeout=5)
        orc.events.log("after", "counted", n=0)
        fold = State()
        for chunk in orc.engine.store.read(START):
            fold.fold(chunk.events)
            numbers |= {record.id for record in chunk.events if record.agent != "after"}
        if repr(fold) != repr(orc.engine.read()):
            wrong.append("the state is not the fold of the log")
        if (status := examine(orc.engine, fix=True).status) == 4:
            wrong.append(f"the doctor says {status}")
        if examine(orc.engine).status:
            wrong.append("something is left to fix after `doctor --fix`")
        orc.close()
    except OrchestratorError as error:
        wrong.append(f"{error.code}: {error.message}")
        for line in (board / "state/events.jsonl").read_bytes().split(b"\n"):
            try:
                numbers.add(json.loads(line)["id"])
            except ValueError:
                continue
    return numbers, wrong


@contextmanager
def load(board: Path, notes: Path, mode: str, number: int) -> Iterator[list[Path]]:
    """Processes that work on the board until the end of the block."""
    files = [notes / f"acks-{n}" for n in range(number)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(board), f"w{n}", str(file), mode,
             "light" if n % 2 else "long"],
            cwd=ROOT, stderr=subprocess.PIPE,
        )
        for n, file in enumerate(files)
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not all(f.exists() and f.stat().st_size for f in files):
            if time.monotonic() > deadline or any(w.poll() is not None for w in workers):
                raise RuntimeError("the load did not begin")
            time.sleep(0.05)
        yield files
        for worker in workers:
            if worker.poll() is not None:
                raise RuntimeError(f"a worker ended: {worker.stderr.read()[-500:]!r}")  # type: ignore[union-attr]
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.communicate()


def crash(part: Part, kind: str, mode: str, images: int, *, boards: int) -> tuple[int, int]:
    """Take and judge images; return their number, and the number with lost acknowledged events."""
    totals = Found()
    chance = random.Random(f"{part.seed} {kind} {mode}")
    for _ in range(boards):
        with tempfile.TemporaryDirectory() as notes, shelf(part) as (folder, instant):
            image = folder / "image"
            make_image(kind, image, megabytes=SIZES[kind])
            with mounted(image, kind=kind) as point:
                board = point / "board"
                Orchestrator.open(board).workstreams.create("ws")
                shell("sync", "-f", str(point))
                with load(board, Path(notes), mode, 3) as acks:
                    crashes = []
                    for n in range(images // boards):
                        time.sleep(chance.uniform(0.05, 0.6))
                        copy = folder / f"copy-{n}"
                        crashes.append(Crash(image, copy, acks, instant=instant))
            for first in crashes:
                _judge(part, kind, mode, first, totals, instant=instant)
    how = "cloned at one instant" if instant else "read while it was written"
    part.figures[f"{kind}, {mode}"] = (
        f"{totals.lost_in} of {totals.taken} images, {how}, lost acknowledged events: {totals.lost} of"
        f" {totals.acknowledged}"
    )
    part.figures[f"{kind}, {mode}: slowest copy ms"] = round(totals.slowest * 1000)
    if totals.taken < images * 0.8:
        part.violated(f"{kind}: only {totals.taken} of {images} copies could be mounted")
    return totals.taken, totals.lost_in


@dataclass
class Found:
    """The results of the images of a kind."""

    taken: int = 0
    acknowledged: int = 0
    lost: int = 0
    lost_in: int = 0
    slowest: float = 0.0


def _judge(part: Part, kind: str, mode: str, point: Crash, totals: Found, *, instant: bool) -> None:
    totals.slowest = max(totals.slowest, point.seconds)
    try:
        missing, wrong = point.judge(kind)
    except Unavailable:
        part.count(f"{kind}, copies that cannot be mounted")
        return
    totals.taken += 1
    totals.acknowledged += len(point.acknowledged)
    totals.lost += missing
    totals.lost_in += bool(missing)
    part.count(f"{kind}, {mode}")
    if mode == "safe" and (missing or (wrong and instant)):
        kept = Path(f"/var/tmp/orc-power-failed-{kind}-{part.seed}-{totals.taken}")
        shutil.copy(point.copy, kept)
        part.violated(
            f"{kind}: {missing} of {len(point.acknowledged)} acknowledged events are lost; {wrong}",
            {"image": str(kept), "acknowledged": sorted(point.acknowledged)[-200:]},
        )
    elif wrong:
        part.count(f"{kind}, {mode}: images that the board does not open, and says why")
    point.copy.unlink()


def body(part: Part) -> None:
    for name in ("ORCHESTRATOR_DIR", "ORC_AGENT", "ORC_REQUEST_ID"):
        os.environ.pop(name, None)
    images, boards = (6, 1) if part.quick else (200, 10)
    for kind in SIZES:
        try:
            crash(part, kind, "safe", images, boards=boards)
            taken, lost_in = crash(
                part, kind, "unsafe", max(4, images // 5), boards=max(1, boards // 5)
            )
            if lost_in < taken * 0.8:
                part.violated(
                    f"{kind}: with the log's sync left out only {lost_in} of {taken} images lost"
                    " something: the harness does not see a power loss"
                )
        except Unavailable as error:
            part.skip(kind, str(error))


if __name__ == "__main__":
    run("power", body)
