"""Commands at a real terminal."""

import os
import re
import subprocess
from pathlib import Path

from tests import forked

ROOT = Path(__file__).parents[2]

_COLOUR = re.compile(r"\x1b\[\d+m")


def at_terminal(board: Path, *words: str, columns: int = 80, colours: bool = False) -> str:
    """Run a command whose stdout is a terminal, and return the output."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ORC") and k != "NO_COLOR"}
    inherited.pop("COLUMNS", None)
    process = forked.popen(
        ["--board", str(board), *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        env={**inherited, "TERM": "xterm"},
    )
    os.close(theirs)
    text = _all_from(ours)
    assert process.wait() == 0, text
    return text if colours else _COLOUR.sub("", text)


def in_terminal(board: Path, *words: str, editor: str) -> tuple[int, str]:
    """Run a command at a terminal with an editor; return its status and the output."""
    import pty

    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ORC")}
    ours, theirs = pty.openpty()
    process = forked.popen(
        ["--board", str(board), *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**inherited, "TERM": "dumb", "VISUAL": "", "EDITOR": editor, "TMPDIR": str(board)},
    )
    os.close(theirs)
    text = _all_from(ours)
    return process.wait(), text


def _all_from(terminal: int) -> str:
    """The output of a terminal until its process ends."""
    shown = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the process has closed its end
            break
        if not data:
            break
        shown += data
    os.close(terminal)
    return shown.decode().replace("\r\n", "\n")
