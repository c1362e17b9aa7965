"""Reading files of other programs: regular files only, no links, nothing endless, UTF-8."""

import os
import stat
from collections.abc import Iterator
from typing import IO

from orchestrator.core import system
from orchestrator.core.decoding import BOM, decode_text
from orchestrator.core.errors import BadInput, InputOutputError, NotFound

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes that a file, or a line of one, may have."""


def open_file(path: str) -> IO[bytes]:
    """A regular file, to be read.

    Raises:
        NotFound: There is none.
        BadInput: It is a link or no regular file.
        InputOutputError: It cannot be read.
    """
    try:
        file = os.fdopen(system.open_file(path, os.O_RDONLY), "rb")
    except FileNotFoundError:
        raise NotFound(f"There is no {path}", code="file_not_found") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder") from None
    except OSError as error:
        if os.path.islink(path):
            raise _is_link(path) from None
        raise InputOutputError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BadInput(f"{path} is not a regular file", hint="`-` reads stdin.")
    return file


def read_text(path: str) -> str:
    """The text of a regular file of at most 16 MiB; lines end as they do there.

    Raises:
        BadInput: It is too long, or no UTF-8.
    """
    with open_file(path) as file:
        data = file.read(LONGEST_LINE + 1)
    if len(data) > LONGEST_LINE:
        raise BadInput(f"{path} is longer than {LONGEST_LINE} bytes")
    return decoded(path, data)


def lines(name: str, file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """The lines of a file that are not blank, each with its place for messages.

    Raises:
        BadInput: A line is longer than a line of the log may be.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise BadInput(f"{name}, line {number} is longer than {LONGEST_LINE} bytes")
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


def _is_link(path: str) -> BadInput:
    return BadInput(
        f"{path} is a symbolic link, which is not followed",
        code="symlink",
        hint="Name the file itself.",
    )
