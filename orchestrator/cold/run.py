"""A cold file: records as lines of JSON in the order of their keys, and an index as the last line.

The lines form blocks; the index has the first key, the place and the checksum of each. So one record is
found by reading one block, and a changed block is noticed when it is read. A Bloom filter in the index shows
for most other keys that they are not in the file, so that no block is read for them.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec

from orchestrator.core.cold_map import ColdDamage, ColdLine
from orchestrator.core.store import StoredFile

BLOCK = 32 << 10
"""The size in bytes at which a block ends."""

_BITS_A_KEY = 12
_FACTORS = (
    0x9E3779B1,
    0x85EBCA6B,
    0xC2B2AE35,
    0x27D4EB2F,
)  # odd; each makes another bit of a checksum

encode = msgspec.json.encode
decode_line = msgspec.json.Decoder(ColdLine).decode


class _Block(msgspec.Struct, array_like=True, gc=False):
    """Where a block begins and ends, and what the checksum of its bytes is."""

    kind: str
    key: str
    offset: int
    length: int
    checksum: int


class _Index(msgspec.Struct):
    """The last line of a file: its blocks in order, and the bits of the filter."""

    blocks: list[_Block]
    filter: bytes


class RunName(msgspec.Struct):
    """A cold file, as the snapshot names it.

    Attributes:
        name: The name of the file.
        lines: How many records it has.
        size: Its bytes.
        index: The byte at which its index begins.
        checksum: The checksum of the index.
    """

    name: str
    lines: int
    size: int
    index: int
    checksum: int


_decode_index = msgspec.json.Decoder(_Index).decode


def pack(lines: Iterable[tuple[str, str, bytes]], name: str) -> tuple[bytes, RunName]:
    """The bytes of a file, and its name in a snapshot.

    Args:
        lines: Kind, key and line of each record, in their order.
        name: What the name of the file begins with.
    """
    blocks: list[_Block] = []
    parts: list[bytes] = []
    hashes: list[int] = []
    offset, part = 0, bytearray()
    first = ("", "")

    def end_block() -> None:
        nonlocal offset
        parts.append(bytes(part))
        blocks.append(_Block(*first, offset, len(part), zlib.crc32(part)))
        offset += len(part)
        part.clear()

    for kind, key, line in lines:
        if not part:
            first = kind, key
        part += line
        part += b"\n"
        hashes.append(hash_of(kind, key))
        if len(part) >= BLOCK:
            end_block()
    if part:
        end_block()
    index = encode(_Index(blocks, _filter_of(hashes)))
    data = b"".join((*parts, index, b"\n"))
    checksum = zlib.crc32(index)
    named = RunName(f"{name}-{checksum:08x}.jsonl", len(hashes), len(data), offset, checksum)
    return data, named


class ColdRun:
    """An open cold file.

    Args:
        file: The file.
        name: What the snapshot says of it.
    """

    def __init__(self, file: StoredFile, name: RunName) -> None:
        self.name = name
        self._file = file
        self._opened: tuple[_Index, list[tuple[str, str]]] | None = None
        self._last: tuple[int, bytes] = (-1, b"")

    def find(self, kind: str, key: str, hash: int) -> ColdLine | None:
        """The line of a key, whose hash is :func:`hash_of`; None if the file has none."""
        index, firsts = self._index()
        bits = index.filter
        for bit in _bits(hash, len(bits) * 8):
            if not bits[bit >> 3] >> (bit & 7) & 1:
                return None
        number = bisect_right(firsts, (kind, key)) - 1
        if number < 0:
            return None
        block = self._block(number)
        begin = encode((kind, key))[:-1]  # the line goes on, or ends there if it is a removal
        at = (b"\n" + block).find(b"\n" + begin)  # where the line begins in the block
        return decode_line(block[at : block.index(b"\n", at)]) if at >= 0 else None

    def scan(self, kind: str) -> Iterator[ColdLine]:
        """The lines of a map, in the order of their keys."""
        _, firsts = self._index()
        for number in range(max(0, bisect_right(firsts, (kind, "")) - 1), len(firsts)):
            if firsts[number][0] > kind:
                return
            for line in self._block(number).splitlines():
                record = decode_line(line)
                if record.kind == kind:
                    yield record

    def lines(self) -> Iterator[tuple[ColdLine, bytes]]:
        """All lines with their bytes, in their order."""
        for number in range(len(self._index()[1])):
            for line in self._block(number).splitlines():
                yield decode_line(line), line

    def check(self) -> None:
        """Read all of it.

        Raises:
            ColdDamage: It is not what was written.
        """
        for number in range(len(self._index()[1])):
            self._block(number)

    def _index(self) -> tuple[_Index, list[tuple[str, str]]]:
        if self._opened is None:
            data = self._file.read(self.name.index, self.name.size - self.name.index - 1)
            if zlib.crc32(data) != self.name.checksum:
                raise ColdDamage(self.name.name)
            index = _decode_index(data)
            self._opened = index, [(block.kind, block.key) for block in index.blocks]
        return self._opened

    def _block(self, number: int) -> bytes:
        # The last block is kept: after a task, its steps are often read, whose ids begin alike.
        known, data = self._last
        if known != number:
            block = self._index()[0].blocks[number]
            data = self._file.read(block.offset, block.length)
            if zlib.crc32(data) != block.checksum:
                raise ColdDamage(self.name.name)
            self._last = number, data
        return data


def hash_of(kind: str, key: str) -> int:
    """The number of a key that the filter knows it by."""
    return zlib.crc32(f"{kind}\t{key}".encode())


def _filter_of(hashes: list[int]) -> bytes:
    bits = bytearray(len(hashes) * _BITS_A_KEY // 8 + 1)
    size = len(bits) * 8
    for hash in hashes:
        for bit in _bits(hash, size):
            bits[bit >> 3] |= 1 << (bit & 7)
    return bytes(bits)


def _bits(hash: int, size: int) -> Iterator[int]:
    return ((hash * factor & 0xFFFFFFFF) * size >> 32 for factor in _FACTORS)
