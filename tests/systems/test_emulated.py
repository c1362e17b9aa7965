"""Boards on emulated systems, and in a folder that ignores case."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SYSTEMS = pytest.mark.parametrize("system", ["darwin", "windows"])

BEGIN = """
import os, sys
from orchestrator import BadName, Orchestrator, Refused
from orchestrator.core import system
orc = Orchestrator.open(sys.argv[1], agent="ann")
"""


def run(system: str, folder: Path, code: str) -> str:
    """The output of a program on an emulated system."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code, str(folder)],
        env={
            **os.environ,
            "ORC_TEST_SYSTEM": "" if system == "linux" else system,
            "PYTHONPATH": os.pathsep.join((str(HERE), str(ROOT))),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@SYSTEMS
def test_a_board_is_used_by_one_process_after_another(system: str, tmp_path: Path) -> None:
    for number in range(3):
        out = run(
            system,
            tmp_path / "board",
            f"""
if not orc.engine.read().workstreams: orc.workstreams.create("build")
for light in (True, False):
    with Orchestrator.open(sys.argv[1], light=light) as other:
        for _ in range(5):
            other.tasks.add("build", title="x")
orc.knowledge.append("findings", "{number}")
print(len(orc.tasks.all()), orc.knowledge.read("findings").split())
""",
        )
    assert out == "30 ['0', '1', '2']\n"
    log = (tmp_path / "board" / "state" / "events.jsonl").read_bytes()
    assert b"\r" not in log


def test_a_commit_on_macos_gets_to_the_disk(tmp_path: Path) -> None:
    out = run(
        "darwin",
        tmp_path / "board",
        """
import orchestrator.core.system.posix as posix
real, calls = posix.fcntl.fcntl, []
def control(fd, command, *rest):
    calls.append(command)
    return real(fd, command, *rest)
posix.fcntl._different["fcntl"] = control
orc.workstreams.create("build")
before = len(calls)
orc.events.log("ann", "x")
print(set(calls) == {posix.fcntl.F_FULLFSYNC}, len(calls) > before)
""",
    )
    assert out == "True True\n"


def test_a_disk_that_knows_no_full_sync_is_synced_as_it_can(tmp_path: Path) -> None:
    out = run(
        "darwin",
        tmp_path / "board",
        """
import errno
import orchestrator.core.system.posix as posix
def control(fd, command, *rest):
    raise OSError(number, "")
posix.fcntl._different["fcntl"] = control
number = errno.ENOTSUP
orc.workstreams.create("build")
number = errno.EIO
try:
    orc.events.log("ann", "x")
except Exception as error:
    print(type(error).__name__)
""",
    )
    assert out in ("InputOutputError\n", "OutcomeUnknown\n")


@SYSTEMS
def test_the_doctor_reports_what_the_system_cannot_promise(system: str, tmp_path: Path) -> None:
    out = run(
        system,
        tmp_path / "board",
        """
from orchestrator.maintenance.doctor import examine
orc.workstreams.create("build")
orc.close()
report = examine(orc.engine)
limits = [found.message for found in report.findings if found.check == "system"]
print(report.status, limits == list(system.LIMITS), len(limits) > 0)
""",
    )
    assert out == "0 True True\n"


@SYSTEMS
def test_spellings_of_one_path_are_one_lock(system: str, tmp_path: Path) -> None:
    out = run(
        system,
        tmp_path / "board",
        """
orc.workstreams.create("build")
orc.locks.acquire("src/App.py", agent="ann")
task = orc.tasks.add("build", title="x", touches=["SRC/**"])
for call in (
    lambda: orc.locks.acquire("SRC/app.PY", agent="bob"),
    lambda: orc.tasks.claim(task.id, agent="bob"),
):
    try:
        call()
    except Refused as refused:
        print(refused.code)
orc.locks.release("SRC/APP.py", agent="ann")
print(orc.tasks.claim(task.id, agent="bob").status)
""",
    )
    assert out.split()[0] == "lock_denied"
    assert out.split()[-1] == "in_progress"
    assert len(out.split()) == 3


@SYSTEMS
def test_a_holder_that_has_ended_differs_from_a_running_holder(system: str, tmp_path: Path) -> None:
    out = run(
        system,
        tmp_path / "board",
        """
import subprocess, time
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
now = time.time()
print(system.condition(os.getpid(), *system.identity(), now))
print(system.condition(os.getpid(), *system.identity(), now - 10**6))
child.communicate(b"\\n")
print(system.condition(child.pid, *system.identity(), now))
""",
    )
    assert out.split() == ["running", "gone", "gone"]


@SYSTEMS
def test_a_check_that_takes_too_long_ends_with_what_it_started(system: str, tmp_path: Path) -> None:
    out = run(
        system,
        tmp_path / "board",
        """
import psutil, time
from orchestrator.core import processes
code = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(child.pid, flush=True); time.sleep(600)"
)
for seconds in (2, 8, 30):
    ended = processes.run(
        [sys.executable, "-c", code], folder=".", variables=dict(os.environ), timeout=seconds
    )
    if ended.output:
        break
print(ended.status)
pid = int(ended.output)
while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
    time.sleep(0.01)
print(processes.run([sys.executable, "-c", "print('x'); exit(3)"], folder=".",
    variables=dict(os.environ), timeout=60).status)
""",
    )
    assert out.split() == ["None", "3"]


@contextmanager
def casefold(folder: Path) -> Iterator[Path]:
    """A mounted ext4 that ignores case.

    Raises:
        OSError: This machine cannot make or mount one.
    """
    image, top = folder / "image", folder / "top"
    top.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)

    def call(*words: object) -> None:
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"{words[0]}: {done.stderr.strip()}")

    call("mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8", image)
    call("mount", "-o", "loop", image, top)
    try:
        inside = top / "case-insensitive"
        inside.mkdir()
        call("chattr", "+F", inside)
        yield inside
    finally:
        call("umount", top)


ONE_FILE = """
orc.workstreams.create("build")
orc.knowledge.write("findings", "one")
for name in ("Findings", "FINDINGS"):
    try:
        orc.knowledge.write(name, "two")
    except BadName:
        print("refused")
print(orc.knowledge.read("findings").strip(), system.open_file(sys.argv[1] + "/STATE/events.JSONL", 0) > 0)
orc.locks.acquire("A", agent="ann")
for agent in ("Bob", "bob"):
    try:
        orc.agents.register(agent)
    except BadName:
        print("refused")
orc.close()
again = Orchestrator.open(sys.argv[1].replace("/board", "/BOARD"))
print(again.workstreams.get("build").name)
"""


@SYSTEMS
def test_names_that_would_be_one_file_are_refused(system: str, tmp_path: Path) -> None:
    folder = tmp_path / "case-insensitive"
    folder.mkdir()
    out = run(system, folder / "board", ONE_FILE)
    assert out.split("\n") == ["refused", "refused", "one True", "refused", "build", ""]


def test_names_that_would_be_one_file_are_refused_on_a_real_file_system(tmp_path: Path) -> None:
    try:
        with casefold(tmp_path) as folder:
            out = run("linux", folder / "board", ONE_FILE)
    except OSError as error:
        pytest.skip(f"no file system with casefold here: {error}")
    assert out.split("\n") == ["refused", "refused", "one True", "refused", "build", ""]
