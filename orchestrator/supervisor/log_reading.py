"""Reads the logs of agents: their last lines, and more as they come, also when a log begins a new file."""

import os
from collections.abc import Iterator
from typing import IO

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError
from orchestrator.runtimes.output import LineSplitter, text_of

SUFFIX = ".log"
"""How the names of the logs end; the older file of each has ``.1`` too."""

_TAIL = 1_000_000  # bytes of the end of a file in which the last lines are looked for
_PIECE = 65536


class LogReader:
    """Reads one log.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._lines = LineSplitter()

    def last(self, most: int) -> list[str]:
        """The last lines, also of the older file; :meth:`new` goes on behind them."""
        lines: list[str] = []
        if (older := self._opened(f"{self._path}.1")) is not None:
            with older:
                lines = self._tail(older)
        if (file := self._opened(self._path)) is not None:
            self._file = file
            lines += self._tail(file)
        return lines[-most:] if most else []

    def new(self) -> Iterator[str]:
        """The lines that were added since the last call."""
        while True:
            file = self._file or self._opened(self._path)
            self._file = file
            if file is None:
                return
            identity = _identity(os.fstat(file.fileno()))
            is_old = self._current() != identity
            # What is written before the new file begins is read after that was seen.
            while data := file.read(_PIECE):
                yield from text_of(self._lines.feed(data))
            if not is_old:
                return
            yield from text_of(self._lines.end())
            self.close()
            older = self._opened(f"{self._path}.1")
            if older is not None and _identity(os.fstat(older.fileno())) != identity:
                self._file = older  # it has changed twice
            elif older is not None:
                older.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tail(self, file: IO[bytes]) -> list[str]:
        """The last whole lines of a file; the begin of the next one is kept."""
        begin = max(file.seek(0, os.SEEK_END) - _TAIL, 0)
        file.seek(begin)
        lines = self._lines.feed(file.read())
        return text_of(lines[1:] if begin else lines)

    def _current(self) -> tuple[int, int] | None:
        """The identity of the file that is written now."""
        try:
            return _identity(os.lstat(self._path))
        except FileNotFoundError:
            return None

    @staticmethod
    def _opened(path: str) -> IO[bytes] | None:
        try:
            return os.fdopen(system.open_file(path, os.O_RDONLY), "rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputOutputError(f"{path} cannot be read: {error.strerror}") from None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
