"""A unit of systemd that runs the runner of a board for a user, from the start of the machine on."""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, Refused

_HEAD = "# Written by `orc runner install`, which writes it again."
_PASSED = ("PATH", "XDG_DATA_HOME")
"""Variables of the user that the runner needs: a unit does not get them."""


def unit_name(board: str) -> str:
    """The name of the unit of a board."""
    folder = os.path.basename(os.path.dirname(board) if board.endswith(".orchestrator") else board)
    word = re.sub(r"[^\w-]+", "-", folder, flags=re.ASCII).strip("-") or "board"
    digest = hashlib.sha256(os.fsencode(board)).hexdigest()[:8]
    return f"orc-{word}-{digest}.service"


def unit_text(board: str, words: Sequence[str], variables: Mapping[str, str]) -> str:
    """The text of the unit.

    Args:
        board: The folder of the board.
        words: The command line of the runner.
        variables: The environment of the user.
    """
    if not re.fullmatch(r"[\w./+-]+", words[0], re.ASCII):  # refused as the name of a program
        words = ["/bin/sh", "-c", 'exec "$0" "$@"', *words]
    program, *arguments = words
    line = " ".join([quoted(program), *(quoted(word).replace("$", "$$") for word in arguments)])
    environment = "".join(
        f"Environment={quoted(f'{name}={variables[name]}')}\n"
        for name in _PASSED
        if variables.get(name)
    )
    description = quoted(f"Runner of the board {board}").strip('"')
    return f"""{_HEAD}
[Unit]
Description={description}

[Service]
ExecStart={line}
{environment}KillMode=mixed
TimeoutStopSec=10min
Restart=on-failure
RestartSec=30
RestartPreventExitStatus=2 3

[Install]
WantedBy=default.target
"""


def quoted(word: str) -> str:
    """A word as systemd reads it: in quotes, with its escapes, and without its specifiers."""
    text = "".join(_escaped(byte) for byte in os.fsencode(word))
    return f'"{text}"'


def _escaped(byte: int) -> str:
    character = chr(byte)
    if character in '"\\':
        return f"\\{character}"
    if character == "%":
        return "%%"
    return character if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"


def write_unit(path: str, text: str) -> bool:
    """Write the unit; whether it is another one than before.

    Raises:
        Refused: There is a unit of another origin.
        InputOutputError: It cannot be written.
    """
    try:
        if os.path.lexists(path):
            with os.fdopen(system.open_file(path, os.O_RDONLY), "rb") as file:
                before = file.read()
            if before == text.encode():
                return False
            if not before.startswith(_HEAD.encode()):
                raise Refused(f"{path} is not ours, so it stays", code="not_ours")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        new = f"{path}.{os.getpid()}.new"
        with os.fdopen(system.open_file(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(text.encode())
        system.replace(new, path)
    except OSError as error:
        raise InputOutputError(f"{path} cannot be written: {error.strerror}") from None
    return True
