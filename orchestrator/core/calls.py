"""The signature and hints of a command or query as callers see them, and the check of its arguments."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, Unpack, get_args, get_origin

import msgspec

from orchestrator.core.errors import BadName, UsageError

_Method = Callable[..., Any]


class Call:
    """The target of ``__wrapped__``: gives :mod:`inspect` the signature without the transaction.

    The signature is built on demand, because quick commands do not load :mod:`inspect`.

    Args:
        body: The function as written, with the transaction as its second parameter.
        wrapper: The function that callers call; it gets the annotations of the call.
        result_of: The function whose result the call returns.
        hidden: How many parameters after ``self`` callers do not pass: the transaction of a command.
    """

    def __init__(
        self, body: _Method, wrapper: _Method, result_of: _Method, *, hidden: int = 1
    ) -> None:
        functools.update_wrapper(wrapper, body)
        hints = [*body.__annotations__.items()][hidden:]
        self.__wrapped__ = body
        self._hidden = hidden
        self._places = body.__code__.co_argcount - 1 - hidden
        self.__name__ = body.__qualname__
        self.hints = dict(_without_unpack(hints))
        self.hints["return"] = result_of.__annotations__.get("return", Any)
        self._is_unpacked = any(_fields(hint) is not None for _, hint in hints)
        wrapper.__annotations__ = self.hints
        wrapper.__wrapped__ = self  # type: ignore[attr-defined]

    @property
    def __signature__(self) -> Any:
        import inspect

        written = inspect.signature(self.__wrapped__)
        first, *others = written.parameters.values()
        parameters = [first]
        for parameter in others[self._hidden :]:
            fields = _fields(parameter.annotation)
            parameters += (
                [parameter]
                if fields is None
                else [
                    inspect.Parameter(name, parameter.KEYWORD_ONLY, default=None, annotation=hint)
                    for name, hint in fields
                ]
            )
        return written.replace(parameters=parameters, return_annotation=self.hints["return"])

    def __call__(self, *args: object, **kwargs: object) -> None:
        """Raise :class:`TypeError` if the arguments do not fit the signature."""
        import inspect

        inspect.getcallargs(self, *args, **kwargs)

    def check(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Check arguments by their annotations. An iterator becomes a tuple, because the check consumes it.

        Raises:
            TypeError: A keyword is missing in the TypedDict of the body's ``**facts``.
            UsageError: A value does not fit its annotation.
        """
        if self._is_unpacked and not self.hints.keys() >= kwargs.keys():
            unknown = min(kwargs.keys() - self.hints.keys())
            raise TypeError(f"{self.__name__}() got an unexpected keyword argument {unknown!r}")
        hints = self.hints
        if len(args) > self._places or not hints.keys() >= kwargs.keys():
            return args, kwargs  # the call itself raises the error
        by_place = (_fitting(name, value, hints[name]) for name, value in zip(hints, args))  # noqa: B905
        return tuple(by_place), {n: _fitting(n, value, hints[n]) for n, value in kwargs.items()}


def checked(method: _Method) -> _Method:
    """Return a query that checks its arguments as commands do; return a command unchanged.

    While a query looks at the state, no other thread changes it.
    """
    if isinstance(getattr(method, "__wrapped__", None), Call):
        return method

    def query(self: Any, *args: object, **kwargs: object) -> object:
        args, kwargs = call.check(args, kwargs)
        with self._desk.query():
            return method(self, *args, **kwargs)

    call = Call(method, query, method, hidden=0)
    return query


def _without_unpack(hints: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, hint in hints:
        fields = _fields(hint)
        yield from ((name, hint),) if fields is None else fields


def _fields(hint: Any) -> list[tuple[str, Any]] | None:
    """The keyword arguments that ``**facts: Unpack[Facts]`` declares; None for another annotation."""
    if getattr(hint, "__origin__", None) is not Unpack:
        return None
    fields = hint.__args__[0].__annotations__.items()
    return [(name, h.__origin__ if hasattr(h, "__metadata__") else h) for name, h in fields]


class _Form(msgspec.Struct, frozen=True):
    """What an annotation accepts: values of some classes, lists, and mappings."""

    classes: tuple[type, ...]
    list_of: type | None
    mapping_of: type | None
    in_words: str


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
"""The words for each class in messages; annotations with other classes are not checked."""


@functools.cache
def _form(hint: object) -> _Form | None:
    """Parse an annotation; None if it accepts values that are not checked."""
    choices = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    classes: list[type] = []
    list_of = mapping_of = None
    for choice in choices:
        origin, of = getattr(choice, "__origin__", None), getattr(choice, "__args__", ())
        if origin is Literal:
            classes += map(type, of)
        elif choice in _WORDS or choice is NoneType:
            classes.append(choice)
        elif not isinstance(origin, type) or not issubclass(origin, Iterable):
            return None
        elif issubclass(origin, Mapping):
            mapping_of = _item_class(of)
        else:
            list_of = _item_class(of)
    words = [word for kind, word in _WORDS.items() if kind in classes]
    words += ["a mapping"] if mapping_of is not None else []
    if float in classes:
        classes.append(int)
    return _Form(tuple(classes), list_of, mapping_of, " or ".join(words))


def _item_class(of: Iterable[object]) -> type:
    are_texts = all(item is str or getattr(item, "__origin__", None) is Literal for item in of)
    return str if are_texts else object


def _fitting(name: str, value: object, hint: object) -> object:
    """Return the value if it fits its annotation.

    Without this, ``labels="ui"`` would be the labels ``u`` and ``i``.

    Raises:
        UsageError: The value does not fit.
    """
    form = _form(hint)
    if form is None or isinstance(value, form.classes):
        return value
    if form.mapping_of is not None and isinstance(value, Mapping):
        _check_items(name, "mapping", (*value.keys(), *value.values()), form.mapping_of)
        return value
    if form.list_of is None:
        raise UsageError(f"`{name}` takes {form.in_words}, not {value!a}")
    if isinstance(value, (str, bytes)):
        raise UsageError(
            f"`{name}` takes a list, not the text {value!a}", hint=f"Write {name}=[{value!a}]."
        )
    if not isinstance(value, Iterable):
        raise UsageError(f"`{name}` takes a list, not {value!a}")
    items = tuple(value) if isinstance(value, Iterator) else value
    _check_items(name, "list", items, form.list_of)
    check_list(name, items)
    return items


def _check_items(name: str, kind: str, items: Iterable[object], of: type) -> None:
    for item in items:
        if not isinstance(item, of):
            raise UsageError(f"`{name}` takes a {kind} of texts, and {item!a} is not a text")


def split_list(text: str, *, commas: bool = True) -> tuple[str, ...]:
    """The items of a text between commas, or without ``commas`` the text as one item; empty: no items.

    A comma between braces belongs to its item, as in ``src/{a,b}.py``. An empty item stays, so that
    :func:`check_list` refuses ``a,,b``: perhaps it was an unset variable.
    """
    if not commas:
        return (text,) if text else ()
    if "{" not in text:
        return tuple(map(str.strip, text.split(","))) if text.strip() else ()
    import re  # few lists have braces

    return tuple(map(str.strip, re.split(r",(?![^{}]*\})", text)))


def check_list(name: str, items: Iterable[object]) -> None:
    """Refuse a list that contains an empty text, or a text or number twice.

    Raises:
        BadName: The list contains an empty text.
        UsageError: The list contains an item twice.
    """
    seen = set()
    for item in items:
        if item == "":
            raise BadName(f"`{name}` contains an empty text", hint="Leave it out.")
        if isinstance(item, (str, int)):
            if item in seen:
                raise UsageError(f"`{name}` contains {item!a} twice", hint="Give it once.")
            seen.add(item)
