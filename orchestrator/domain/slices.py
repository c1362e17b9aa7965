"""Slices: the parts of the state, one for each noun."""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from typing import Any, ClassVar, Generic, TypeVar, overload

import msgspec
from msgspec.structs import replace

from orchestrator.core.errors import NotFound, missing

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Record(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """A record in the state. A change replaces it; unknown fields are refused."""


class Remark(msgspec.Struct, frozen=True):
    """A remark of a noun about a task: a text by an agent, and the command that shows the whole text."""

    label: str
    author: str
    text: str
    command: str


class Slice(msgspec.Struct):
    """The part of the state of a noun. Its fields are keys of ``state.json``, unique across all slices."""

    def remarks_on(self, task: str) -> Iterable[Remark]:
        """The remarks of this noun for the brief of a task, the most important first."""
        return ()


class MapSlice(Slice, Generic[K, V]):
    """A slice that behaves like its main map.

    A class names the field in ``MAIN``, and for :meth:`find` its noun and a hint.
    """

    MAIN: ClassVar[str]
    NOUN: ClassVar[str]
    HINT: ClassVar[str]
    main: ClassVar[Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # The descriptor itself: a property in Python would double the time of an access.
        cls.main = cls.__dict__[cls.MAIN]

    def __getitem__(self, key: K) -> V:
        return self.main[key]  # type: ignore[no-any-return]

    def __setitem__(self, key: K, value: V) -> None:
        self.main[key] = value

    def __delitem__(self, key: K) -> None:
        del self.main[key]

    def __contains__(self, key: object) -> bool:
        return key in self.main

    def __iter__(self) -> Iterator[K]:
        return iter(self.main)

    def __len__(self) -> int:
        return len(self.main)

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The record of a key, or the default."""
        return self.main.get(key, default)

    def find(self, key: K) -> V:
        """Return the record of a key.

        Raises:
            NotFound: There is none.
        """
        if key not in self.main:
            raise self.missing(key)
        return self.main[key]  # type: ignore[no-any-return]

    def check(self, key: K | None) -> None:
        """Refuse a key without a record, if one is given.

        Raises:
            NotFound: There is no record.
        """
        if key is not None:
            self.find(key)

    def present(self, keys: Iterable[K]) -> list[V]:
        """The records of these keys; those without one are left out."""
        return [self.main[key] for key in keys if key in self.main]

    def change(self, key: K, **changes: Any) -> None:
        """Replace the record of a key by one with these changes. Part of a fold."""
        self.main[key] = replace(self.main[key], **changes)

    def missing(self, key: K) -> NotFound:
        """The error for a key without a record."""
        near = self.main if isinstance(key, str) else ()
        return missing(self.NOUN, key, near, hint=self.HINT)

    @overload
    def pop(self, key: K, /) -> V: ...

    @overload
    def pop(self, key: K, default: D, /) -> V | D: ...

    def pop(self, key: K, /, *default: Any) -> Any:
        """Remove a record and return it, or the default."""
        return self.main.pop(key, *default)

    def keys(self) -> KeysView[K]:
        """The keys."""
        return self.main.keys()  # type: ignore[no-any-return]

    def values(self) -> ValuesView[V]:
        """The records."""
        return self.main.values()  # type: ignore[no-any-return]

    def items(self) -> ItemsView[K, V]:
        """Keys with their records."""
        return self.main.items()  # type: ignore[no-any-return]
