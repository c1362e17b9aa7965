"""Bytes in memory that are read as an open file."""


class BytesFile:
    """Implements the StoredFile port."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]
