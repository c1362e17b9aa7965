"""Reading files that a user named or another program wrote: nothing that never ends, UTF-8.

Regular files are read, and what this process has open already, as stdin is: shells give the output of a
command as ``/dev/fd/63``. A fifo would wait for a writer, and a device may never end.
"""

import errno
import os
import stat
from collections.abc import Iterator
from typing import IO

from orchestrator.core import system
from orchestrator.core.decoding import BOM, decode_text
from orchestrator.core.errors import BadInput, InputOutputError, NotFound
from orchestrator.core.store import LARGEST_RECORD

LONGEST = LARGEST_RECORD
"""Bytes that a text from a file, or a line of a file of many, may have."""


_OF_A_SOCKET = (errno.ENXIO, errno.EOPNOTSUPP)
"""What systems say of a socket that is opened as a file."""


def open_file(path: str, *, follow: bool = False) -> IO[bytes]:
    """A file, to be read.

    Args:
        path: Where it is.
        follow: The path may be a link.

    Raises:
        NotFound: There is none.
        BadInput: It is a folder, a fifo, a socket or a device; a link, unless ``follow``.
        InputOutputError: It cannot be read.
    """
    is_open = path.startswith(system.OPEN_ALREADY)
    try:
        file = os.fdopen(system.open_file(path, os.O_RDONLY, follow=follow or is_open), "rb")
    except FileNotFoundError:
        raise NotFound(f"There is no {path}", code="file_not_found") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder", code="not_a_file") from None
    except ValueError:
        raise BadInput(f"{path!a} is not a path: it holds a NUL character") from None
    except OSError as error:
        if not follow and os.path.islink(path):
            raise _is_link(path) from None
        if error.errno in _OF_A_SOCKET:
            raise _no_file(path) from None
        raise InputOutputError(f"{path} cannot be read: {error.strerror}") from None
    kind = os.fstat(file.fileno()).st_mode
    if is_open:
        system.wait_for_input(file.fileno())
    elif not stat.S_ISREG(kind):
        file.close()
        raise _no_file(path)
    return file


def read_whole(name: str, file: IO[bytes]) -> bytes:
    """All bytes of a file.

    Raises:
        BadInput: They are more than 16 MiB, or do not end.
    """
    data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise BadInput(f"{name} is longer than {LONGEST} bytes")
    return data


def read_text(path: str) -> str:
    """The text of a regular file of at most 16 MiB; lines end as they do there.

    Raises:
        BadInput: It is too long, or no UTF-8.
    """
    with open_file(path) as file:
        return decoded(path, read_whole(path, file))


def lines(name: str, file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """The lines of a file that are not blank, each with its place for messages.

    Raises:
        BadInput: A line is longer than a line of the log may be.
    """
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise BadInput(f"{name}, line {number} is longer than {LONGEST} bytes")
        if number == 1:
            line = line.removeprefix(BOM)
        if line.strip():
            yield f"line {number}", line


def markdown_files(folder: str) -> list[str]:
    """The paths of the markdown files in a folder, by name; none if there is no such folder.

    Raises:
        BadInput: The folder is a link.
    """
    if os.path.islink(folder):
        raise _is_link(folder)
    if not os.path.isdir(folder):
        return []
    return [
        os.path.join(folder, name)
        for name in sorted(os.listdir(folder))
        if name.endswith(".md") and not name.startswith(".")
    ]


def decoded(place: str, data: bytes) -> str:
    """Bytes as text.

    Raises:
        BadInput: They are not UTF-8, or hold a NUL.
    """
    text = decode_text(data, place)
    if "\0" in text:
        raise BadInput(f"{place} is binary: it holds a NUL character")
    return text


def _no_file(path: str) -> BadInput:
    return BadInput(f"{path} is not a regular file", code="not_a_file", hint="`-` reads stdin.")


def _is_link(path: str) -> BadInput:
    return BadInput(
        f"{path} is a symbolic link, which is not followed",
        code="symlink",
        hint="Name the file itself.",
    )
