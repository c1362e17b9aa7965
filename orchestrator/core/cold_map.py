"""A map of the state whose past records may be in cold files, from which they are read when asked for.

Rules use it as any map: a record that is not in memory is read on the first look at it, and is an ordinary
record of the map from then on. Iterating yields all records in the order in which they were added, cold ones
included. On a board with a long history, only :func:`current` and :func:`keys_beginning` are cheap.
"""

from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Reversible,
    ValuesView,
)
from typing import Any, Protocol, TypeVar

import msgspec

K = TypeVar("K")
V = TypeVar("V")


class ColdDamage(Exception):
    """A cold file is missing, cannot be read, or is not what was written; the text names it and says which.

    The log is folded then.
    """


class ColdLine(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """A line of a cold file: a record; without ``value``, a record that was removed.

    Attributes:
        kind: The map of the record, the name of its field in the state.
        key: Its key there, as a text.
        order: When it was added, counted in the map.
        value: The record.
    """

    kind: str
    key: str
    order: int = -1
    value: msgspec.Raw = msgspec.Raw()

    @property
    def is_removal(self) -> bool:
        """Whether the record was removed."""
        return self.order < 0


class ColdRecords(Protocol):
    """The cold records of a snapshot. Both methods raise :class:`ColdDamage`."""

    def find(self, kind: str, key: str) -> ColdLine | None:
        """The record of a key; None if there is none."""

    def scan(self, kind: str, begins: tuple[str, ...] = ("",)) -> Iterable[ColdLine]:
        """The records of a map whose keys begin with one of some texts, in any order."""


class MapPart(msgspec.Struct, omit_defaults=True):
    """What the snapshot keeps of a map beside its records.

    Attributes:
        next: The order of the next new record.
        cold: How many of its records are in the cold files alone.
        last: No cold record has a larger order.
        spans: The orders of the records in the snapshot: first order, length, first order, length ...
        gone: The keys of records that were removed since the last cold file was written.
    """

    next: int
    cold: int
    last: int
    spans: list[int] = []
    gone: list[str] = []


class ColdMap(dict[K, V]):
    """The records in memory, with the cold ones behind them.

    Args:
        kind: The name of the map in the cold files.
        records: The cold files; None once the map has been restored.
        part: What the snapshot says of the map.
        hot: The records in the snapshot.
        types: The types of keys and of values.
        restore: Folds the log to the map as it was when the snapshot was written, if a cold record cannot be
            read; receives the error.

    Attributes:
        order: For each record in memory, when it was added.
        gone: The keys of records of the snapshot and of its cold files that were removed.
    """

    def __init__(
        self,
        kind: str,
        records: ColdRecords,
        part: MapPart,
        hot: Mapping[K, V],
        types: tuple[Callable[[str], K], Any],
        restore: Callable[[Exception], dict[K, V]],
    ) -> None:
        super().__init__(hot)
        self.kind = kind
        self._records: ColdRecords | None = records
        self._restore_from = restore
        self._key, value = types
        self._decode: Callable[[msgspec.Raw], V] = msgspec.json.Decoder(value).decode
        self.order: dict[K, int] = dict(zip(hot, _orders(part.spans), strict=True))
        self.next, self.cold, self.last = part.next, part.cold, part.last
        self.gone: dict[K, None] = dict.fromkeys(map(self._key, part.gone))
        self._begin = part.next
        self._is_mixed = False  # whether the dict is not in the order of adding

    @property
    def is_restored(self) -> bool:
        """Whether a cold file was damaged, so that all records are in memory now."""
        return self._records is None

    # One record

    def __contains__(self, key: Any) -> bool:
        """Whether there is a record; a cold one is in memory from now on."""
        if dict.__contains__(self, key):
            return True
        if self._records is None or not self.cold or key in self.gone:
            return False
        if not isinstance(key, self._key):  # type: ignore[arg-type]
            return False
        try:
            line = self._records.find(self.kind, str(key))
            if line is None:
                return False
            dict.__setitem__(self, key, self._decode(line.value))
        except (ColdDamage, msgspec.MsgspecError) as error:  # a newer version may have more fields
            self._restore(error)
            return dict.__contains__(self, key)
        self.order[key] = line.order
        self._is_mixed = True
        self.cold -= 1
        return True

    def __missing__(self, key: K) -> V:
        if key in self:
            return dict.__getitem__(self, key)
        raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        return dict.__getitem__(self, key) if key in self else default

    def __setitem__(self, key: K, value: V) -> None:
        if key not in self:
            self.order[key] = self.next
            self.next += 1
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        dict.__delitem__(self, key)
        if self.order.pop(key) < self._begin:  # a cold file, or the fold of the log, may have it
            self.gone[key] = None

    def setdefault(self, key: K, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return dict.__getitem__(self, key)

    def pop(self, key: K, *default: Any) -> Any:
        if default and key not in self:
            return default[0]
        value = self[key]
        del self[key]
        return value

    # All records

    def __len__(self) -> int:
        return dict.__len__(self) + self.cold

    def __iter__(self) -> Iterator[K]:
        return (key for _, key, _ in self._entries(with_values=False))

    def __reversed__(self) -> Iterator[K]:
        return (key for key, _ in self.backwards())

    def keys(self) -> KeysView[K]:  # type: ignore[override]
        return KeysView(self)

    def values(self) -> ValuesView[V]:  # type: ignore[override]
        return _Values(self)

    def items(self) -> ItemsView[K, V]:  # type: ignore[override]
        return _Items(self)

    def pairs(self) -> Iterator[tuple[K, V]]:
        """All keys with their records, in the order in which they were added."""
        for _, key, value in self._entries():
            yield key, self._value(key, value)

    def current(self) -> Iterable[V]:
        """The records in memory, in their order."""
        return [value for _, _, value in self.hot()] if self._is_mixed else [*dict.values(self)]

    def hot(self) -> list[tuple[int, K, V]]:
        """Order, key and record of the records in memory, in their order."""
        # A copy: a look at a cold record during the iteration adds it to this dict.
        order = self.order
        entries = [(order[key], key, value) for key, value in list(dict.items(self))]
        entries.sort(key=_order)
        return entries

    def beginning(self, texts: tuple[str, ...]) -> Iterable[K]:
        """The keys that begin with one of some texts; only their parts of the cold files are read."""
        entries = self._entries(texts, with_values=False)
        return [key for _, key, _ in entries if str(key).startswith(texts)]

    def clear(self) -> None:
        for key in list(self):
            del self[key]

    def update(self, *others: Any, **named: Any) -> None:
        for key, value in dict(*others, **named).items():
            self[key] = value

    def copy(self) -> dict[K, V]:
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | dict(other)

    def __ror__(self, other: Any) -> Any:
        return dict(other) | self.copy()

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def popitem(self) -> tuple[K, V]:
        key = next(reversed(self))
        return key, self.pop(key)

    def __eq__(self, other: object) -> bool:
        return self.copy() == (other.copy() if isinstance(other, ColdMap) else other)

    def __repr__(self) -> str:
        return repr(self.copy())

    __hash__ = None

    def _entries(
        self, begins: tuple[str, ...] = ("",), *, with_values: bool = True
    ) -> list[tuple[int, K, V | msgspec.Raw]]:
        """Order, key and record, decoded or not, of all records in their order.

        Args:
            begins: Leave out cold records whose keys begin with none of these texts.
            with_values: If not, the cold records are left empty, which takes a tenth of the memory.
        """
        entries: list[tuple[int, K, V | msgspec.Raw]] = []
        empty = msgspec.Raw()
        try:
            for line in self._records.scan(self.kind, begins) if self._records is not None else ():
                key = self._key(line.key)
                if not dict.__contains__(self, key) and key not in self.gone:
                    entries.append((line.order, key, line.value if with_values else empty))
        except ColdDamage as error:
            self._restore(error)
            entries = []
        entries += self.hot()
        entries.sort(key=_order)
        return entries

    def backwards(self) -> Iterator[tuple[K, V]]:
        """Keys and records from the newest; the cold ones are read only after the newest ones."""
        newest = [entry for entry in self.hot() if entry[0] > self.last]
        yield from ((key, value) for _, key, value in reversed(newest))
        first = newest[0][0] if newest else self.next
        if len(newest) < len(self):
            for order, key, value in reversed(self._entries()):
                if order < first:
                    yield key, self._value(key, value)

    def _value(self, key: K, value: V | msgspec.Raw) -> V:
        if isinstance(value, msgspec.Raw) and not dict.__contains__(self, key):
            try:
                return self._decode(value)
            except msgspec.MsgspecError as error:
                self._restore(error)
        return dict.__getitem__(self, key)

    # Damage

    def _restore(self, error: Exception) -> None:
        """Take the cold records from the fold of the log; the cold files are not read again."""
        records = self._restore_from(error)
        hot = self.hot()
        for key in self.gone:
            if not dict.__contains__(self, key):
                records.pop(key, None)
        for order, key, value in hot:
            if order >= self._begin:  # added since, perhaps for the second time
                records.pop(key, None)
            records[key] = value
        dict.clear(self)
        dict.update(self, records)
        self.order = {key: number for number, key in enumerate(records)}
        self.next, self.cold, self.last = len(records), 0, -1
        self.gone.clear()
        self._records = None


class _Values(ValuesView[V], Reversible[V]):
    """The records of a :class:`ColdMap`; the newest cost little."""

    _mapping: ColdMap[Any, V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping.pairs())

    def __reversed__(self) -> Iterator[V]:
        return (value for _, value in self._mapping.backwards())


class _Items(ItemsView[K, V], Reversible[tuple[K, V]]):
    """The keys and records of a :class:`ColdMap`; the newest cost little."""

    _mapping: ColdMap[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping.pairs()

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        return self._mapping.backwards()


def current(records: Mapping[Any, V]) -> Iterable[V]:
    """The records that are in memory, in the order of the map; those with open work always are."""
    return records.current() if isinstance(records, ColdMap) else records.values()


def keys_beginning(records: Mapping[str, Any], texts: tuple[str, ...]) -> Iterable[str]:
    """The keys of a map that begin with one of some texts."""
    if isinstance(records, ColdMap):
        return records.beginning(texts)
    return (key for key in records if key.startswith(texts))


def spans_of(orders: Iterable[int]) -> list[int]:
    """Rising numbers as pairs of a first one and how many follow each other from there."""
    spans: list[int] = []
    expected = -1
    for order in orders:
        if order == expected:
            spans[-1] += 1
        else:
            spans += (order, 1)
        expected = order + 1
    return spans


def _orders(spans: list[int]) -> Iterator[int]:
    for first, count in zip(spans[::2], spans[1::2], strict=True):
        yield from range(first, first + count)


def _order(entry: tuple[int, Any, Any]) -> int:
    return entry[0]
