"""A cold file: lines of JSON, which are the records in the order of their keys, a filter, and an index.

The records form blocks; the index, the last line, has the first key, the place and the checksum of each. So
one record is found by reading one block, and a changed block is noticed when it is read. A Bloom filter
shows for most other keys that they are not in the file. Its lines, the pages, have equal lengths, and all
bits of a key are in one page. So one short page is read for a key that is not there, and never the index.
"""

import zlib
from binascii import a2b_base64, b2a_base64
from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec

from orchestrator.core.cold_map import ColdDamage, ColdLine
from orchestrator.core.store import FilePart, OpenFiles

BLOCK = 32 << 10
"""The size in bytes at which a block ends."""

_BITS_A_KEY = 12
_PAGE = 380  # bytes of a page of the filter; with its checksum they are a text of 512 characters
_CHECKSUM = 4  # bytes
_PAGE_LINE = (_PAGE + _CHECKSUM) * 4 // 3 + len(b'""\n')
_FACTORS = (
    0x9E3779B1,
    0x85EBCA6B,
    0xC2B2AE35,
    0x27D4EB2F,
)
"""Odd numbers; each of them makes another bit of a checksum."""

encode = msgspec.json.encode
decode_line = msgspec.json.Decoder(ColdLine).decode


class _Block(msgspec.Struct, array_like=True, gc=False):
    """Where a block begins and ends, and what the checksum of its bytes is."""

    kind: str
    key: str
    offset: int
    length: int
    checksum: int


class RunName(msgspec.Struct):
    """A cold file, as the snapshot names it.

    Attributes:
        name: The name of the file.
        lines: How many records it has.
        size: Its bytes.
        index: The byte at which its index begins; its filter ends there.
        checksum: The checksum of the index.
    """

    name: str
    lines: int
    size: int
    index: int
    checksum: int


_decode_index = msgspec.json.Decoder(list[_Block]).decode


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
    index = encode(blocks)
    checksum = zlib.crc32(index)
    parts += _filter_of(hashes, checksum)
    offset += _PAGE_LINE * _pages(len(hashes))
    data = b"".join((*parts, index, b"\n"))
    named = RunName(f"{name}-{checksum:08x}.jsonl", len(hashes), len(data), offset, checksum)
    return data, named


class ColdRun:
    """An open cold file.

    Args:
        files: The open files.
        name: What the snapshot says of it.
        where: Its name in messages.
    """

    def __init__(self, files: OpenFiles, name: RunName, where: str) -> None:
        self.name = name
        self._where = where
        self._files = files
        self._opened: tuple[list[_Block], list[tuple[str, str]]] | None = None
        self._last: tuple[int, bytes] = (-1, b"")
        self._pages: dict[int, bytes] = {}

    def unread_page(self, hash: int) -> FilePart | None:
        """Where the page of the filter for a key is; None if it was read. The hash is :func:`hash_of`."""
        number = self._page_of(hash)
        return self._part_of_pages(number, 1) if number not in self._pages else None

    def take_page(self, hash: int, page: bytes) -> None:
        """Keep the page of the filter for a key, as it was read.

        Raises:
            ColdDamage: It is not what was written.
        """
        number = self._page_of(hash)
        self._pages[number] = self._bits_of(number, page)

    def may_have(self, hash: int) -> bool:
        """Whether the file can have a key; its page must have been read."""
        page = self._pages[self._page_of(hash)]
        return all(page[bit >> 3] >> (bit & 7) & 1 for bit in _bits(hash))

    def find(self, kind: str, key: str) -> ColdLine | None:
        """The line of a key; None if the file has none."""
        _, firsts = self._index()
        number = bisect_right(firsts, (kind, key)) - 1
        if number < 0:
            return None
        block = self._block(number)
        begin = encode((kind, key))[:-1]  # the line goes on, or ends there if it is a removal
        at = (b"\n" + block).find(b"\n" + begin)  # where the line begins in the block
        return decode_line(block[at : block.index(b"\n", at)]) if at >= 0 else None

    def scan(self, kind: str, begin: str) -> Iterator[ColdLine]:
        """The lines of a map whose keys begin with a text, in the order of their keys."""
        _, firsts = self._index()
        first = max(0, bisect_right(firsts, (kind, begin)) - 1)
        for number, (other, key) in enumerate(firsts[first:], first):
            if (other, key) > (kind, begin) and not (other == kind and key.startswith(begin)):
                return
            for line in self._block(number).splitlines():
                record = decode_line(line)
                if record.kind == kind and record.key.startswith(begin):
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
        pages = self._read(*self._part_of_pages(0, self._count)[1:])
        for number in range(self._count):
            self._bits_of(number, pages[number * _PAGE_LINE :][:_PAGE_LINE])

    @property
    def _count(self) -> int:
        return _pages(self.name.lines)

    def _page_of(self, hash: int) -> int:
        return _page_of(hash, self._count)

    def _part_of_pages(self, first: int, count: int) -> FilePart:
        offset = self.name.index - _PAGE_LINE * (self._count - first)
        return FilePart(self.name.name, offset, _PAGE_LINE * count)

    def _bits_of(self, number: int, page: bytes) -> bytes:
        try:
            data = a2b_base64(page)
        except ValueError:
            raise self._damaged() from None
        bits = data[:_PAGE]
        if data[_PAGE:] != _page_checksum(bits, number, self.name.checksum):
            raise self._damaged()
        return bits

    def _index(self) -> tuple[list[_Block], list[tuple[str, str]]]:
        if self._opened is None:
            data = self._read(self.name.index, self.name.size - self.name.index - 1)
            if zlib.crc32(data) != self.name.checksum:
                raise self._damaged()
            blocks = _decode_index(data)
            self._opened = blocks, [(block.kind, block.key) for block in blocks]
        return self._opened

    def _block(self, number: int) -> bytes:
        # The last block is kept: after a task, its steps are often read, whose ids begin alike.
        known, data = self._last
        if known != number:
            block = self._index()[0][number]
            data = self._read(block.offset, block.length)
            if zlib.crc32(data) != block.checksum:
                raise self._damaged()
            self._last = number, data
        return data

    def _damaged(self) -> ColdDamage:
        return ColdDamage(f"{self._where} is damaged")

    def _read(self, offset: int, length: int) -> bytes:
        # A made index may name a length that takes all memory.
        if not 0 <= offset <= offset + length <= self.name.size:
            raise self._damaged()
        return self._files.read([FilePart(self.name.name, offset, length)])[0]


def hash_of(kind: str, key: str) -> int:
    """The number of a key that the filter knows it by."""
    return zlib.crc32(f"{kind}\t{key}".encode())


def _pages(lines: int) -> int:
    """How many pages the filter of a file has."""
    return lines * _BITS_A_KEY // (_PAGE * 8) + 1


def _page_of(hash: int, pages: int) -> int:
    return hash * pages >> 32


def _page_checksum(bits: bytes | bytearray, number: int, checksum: int) -> bytes:
    """The checksum of a page, which is another one in another place and another file."""
    return zlib.crc32(bits, checksum ^ number).to_bytes(_CHECKSUM, "big")


def _filter_of(hashes: list[int], checksum: int) -> Iterator[bytes]:
    """The pages of the filter of a file, as lines.

    Args:
        hashes: The hashes of its keys.
        checksum: The checksum of its index.
    """
    count = _pages(len(hashes))
    pages = [bytearray(_PAGE) for _ in range(count)]
    for hash in hashes:
        bits = pages[_page_of(hash, count)]
        for bit in _bits(hash):
            bits[bit >> 3] |= 1 << (bit & 7)
    for number, bits in enumerate(pages):
        text = b2a_base64(bits + _page_checksum(bits, number, checksum), newline=False)
        yield b'"%b"\n' % text


def _bits(hash: int) -> Iterator[int]:
    """The bits of a key in its page."""
    return ((hash * factor & 0xFFFFFFFF) * (_PAGE * 8) >> 32 for factor in _FACTORS)
