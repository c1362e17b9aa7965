"""Read a large ``state.json`` in pieces, so that its text and its tasks are never in memory together.

The text is that of :mod:`orchestrator.snapshot`: indented, with a line for the beginning and the end of
each map and record, and no line break inside of a text.
"""

import sys
import zlib
from collections.abc import Iterator

import msgspec
from msgspec.structs import force_setattr

from orchestrator.core.store import StoredFile
from orchestrator.domain.tasks.records import Task

PIECE = 1 << 20
"""The size of a piece in bytes."""

_BEGIN = b'\n    "tasks": {\n'
_END = b"\n    }"
_NEXT = b"\n      },"

_decode = msgspec.json.Decoder(dict[str, Task]).decode


def read(file: StoredFile, head: int) -> tuple[bytes, int, dict[str, Task]]:
    """Read a snapshot.

    Args:
        file: The file.
        head: How many bytes at its beginning have no checksum.

    Returns:
        The text without the records of tasks, the checksum of the file, and the tasks.

    Raises:
        MsgspecError: It cannot be read.
    """
    reading = _Reading(file, head)
    before = b"".join(reading.until(_BEGIN))
    tasks: dict[str, Task] = {}
    rest = bytearray()
    for text in reading.until(_END):
        rest += text
        # What is not a whole record waits for the next piece; the last one ends with the map.
        cut = len(rest) if reading.is_found else rest.rfind(_NEXT) + len(_NEXT)
        if cut >= len(_NEXT):
            piece = bytes(rest[:cut]).rstrip(b",")
            del rest[:cut]
            _add(tasks, _decode(b"{%b}" % piece) if piece.strip() else {})
    after = b"".join(reading.until(None))
    return before + after, reading.checksum, tasks


def _add(tasks: dict[str, Task], piece: dict[str, Task]) -> None:
    """Add tasks; a text that many of them have is in memory once."""
    for task in piece.values():
        for name in ("workstream", "type", "created_by"):
            force_setattr(task, name, sys.intern(getattr(task, name)))
        if task.updated_at == task.created_at:
            force_setattr(task, "updated_at", task.created_at)
        tasks[task.id] = task


class _Reading:
    """Reads a file from its beginning to its end.

    Attributes:
        checksum: The checksum of what was read.
        is_found: Whether the last mark was found.
    """

    def __init__(self, file: StoredFile, head: int) -> None:
        self._file, self._head = file, head
        self._offset, self._text = 0, b""
        self.checksum, self.is_found = 0, False

    def until(self, mark: bytes | None) -> Iterator[bytes]:
        """The text up to a mark, with the mark unless that ends a map; without a mark, all the rest."""
        self.is_found = False
        while not self.is_found:
            at = self._text.find(mark) if mark is not None else -1
            if mark is not None and at >= 0:
                self.is_found = True
                cut = at if mark == _END else at + len(mark)
            else:  # a part of the mark may be at the end
                cut = max(0, len(self._text) - len(mark or b""))
            text, self._text = self._text[:cut], self._text[cut:]
            if not self.is_found and not self._more():
                text, self._text = text + self._text, b""
                yield text
                return
            yield text

    def _more(self) -> bool:
        data = self._file.read(self._offset, PIECE)
        first = max(0, self._head - self._offset)
        self.checksum = zlib.crc32(memoryview(data)[first:], self.checksum)
        self._offset += len(data)
        self._text += data
        return bool(data)
