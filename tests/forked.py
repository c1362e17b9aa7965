"""Command lines in processes that begin as a copy of this one, which saves importing the program."""

import contextvars
import gc
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from orchestrator.interfaces.cli.main import console

_PROGRAM = "from orchestrator.interfaces.cli.main import console; console()"


def run(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run ``orc`` with these words, without a terminal and without input."""
    if not hasattr(os, "fork"):
        command = [sys.executable, "-c", _PROGRAM, *words]
        return subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = start(words, cwd=cwd, env=env, stdout=out.fileno(), stderr=err.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(list(words), status, *texts)


class Piped:
    """A process of ``orc`` with pipes to it: what tests need of :class:`subprocess.Popen`.

    Attributes:
        pid: Its id.
        returncode: Its exit status, or minus the signal; None until :meth:`wait` has returned.
        stdin, stdout: Our ends of the pipes.
    """

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, for so many seconds at most."""
        if self.returncode is None:
            self.returncode = psutil.Process(self.pid).wait(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def piped(words: Sequence[str], *, env: Mapping[str, str]) -> "Piped | subprocess.Popen[bytes]":
    """Begin ``orc`` with pipes as its stdin and stdout, in this folder; it ends when stdin closes."""
    if not hasattr(os, "fork"):
        command = [sys.executable, "-c", _PROGRAM, *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe)
    theirs, to_them = os.pipe()
    from_them, ours = os.pipe()
    child = start(words, cwd=Path.cwd(), env=env, stdin=theirs, stdout=ours)
    os.close(theirs)
    os.close(ours)
    return Piped(child, open(to_them, "wb"), open(from_them, "rb"))


def start(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int | None = None,
    stdout: int,
    stderr: int = 2,
) -> int:
    """Begin ``orc`` with these words and open files, without input if there is no ``stdin``.

    Returns:
        The id of the process, for ``os.waitpid``.
    """
    child = os.fork()
    if child == 0:
        # What runs here, such as an event loop, does not run there.
        contextvars.Context().run(_become, words, cwd, env, (stdin, stdout, stderr))
    return child


def _become(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], files: tuple[int | None, int, int]
) -> None:
    """Run the program in this process, a child, and end it."""
    gc.freeze()  # objects of ours must not close files of theirs
    status = 70
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        taken = [os.dup(nothing if file is None else file) for file in files]
        for number, file in enumerate(taken):
            os.dup2(file, number)
        # The ends of other pipes are not theirs: who reads there would wait for them.
        os.closerange(3, max(int(name) for name in os.listdir("/dev/fd")) + 1)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["orc", *words]
        console()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
