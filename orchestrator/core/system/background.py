"""Programs that go on after this process; the same on every system but for how they are set apart."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any


def start_daemon(
    words: Sequence[str],
    folder: str,
    variables: Mapping[str, str],
    stdin: IO[bytes] | None = None,
) -> tuple[int, IO[bytes], Callable[[], int]]:
    """Start a program that goes on after this process, in a session of its own, or without a console.

    Returns:
        Its pid, a pipe with its output, and a function that waits until it ends and returns its status.
    """
    import subprocess

    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    process = subprocess.Popen(  # noqa: S603 -- no shell; the caller checks the words
        words,
        cwd=folder,
        env=variables,
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **apart,
    )
    assert process.stdout is not None
    return process.pid, process.stdout, process.wait
