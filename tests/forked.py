"""Command lines in processes that begin as a copy of this one, which saves importing the program."""

import contextvars
import gc
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.interfaces.cli.main import console

PROGRAM = "from orchestrator.interfaces.cli.main import console; console()"
"""A Python program: ``orc`` with the arguments of the process."""


def run(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run ``orc`` with these words, without a terminal and without input."""
    # A process in the background may keep a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = popen(words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        status = process.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(list(words), status, *texts)


def popen(
    words: Sequence[str],
    *,
    env: Mapping[str, str] = os.environ,
    script: Path | None = None,
    **settings: Any,
) -> "subprocess.Popen[Any]":
    """Begin ``orc``, or a script, with these words.

    Args:
        words: The words after its name.
        env: Its variables.
        script: A program in Python.
        settings: More arguments of :class:`subprocess.Popen`.
    """
    if not hasattr(os, "fork"):
        program = [str(script)] if script else ["-c", PROGRAM]
        return subprocess.Popen([sys.executable, *program, *words], env=env, **settings)
    run = partial(runpy.run_path, str(script), run_name="__main__") if script else console
    # What runs here, such as an event loop, does not run there.
    become = partial(contextvars.Context().run, _become, run, words, dict(env))
    return subprocess.Popen(["orc", *words], preexec_fn=become, restore_signals=False, **settings)


def _become(run: Callable[[], object], words: Sequence[str], env: Mapping[str, str]) -> None:
    """Run a program in this process, a child, and end it."""
    status = 70
    try:
        gc.freeze()  # objects of the parent must not close files of the child
        # Who reads from another pipe of the parent would wait for the child too.
        os.closerange(3, max(int(name) for name in os.listdir("/dev/fd")) + 1)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.clear()
        os.environ.update(env)
        tempfile.tempdir = None  # it comes from the variables
        sys.argv = ["orc", *words]
        run()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
