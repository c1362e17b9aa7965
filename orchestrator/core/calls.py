"""How Python sees the call of a command or query: its signature, its hints, and which arguments fit them."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from types import FunctionType, NoneType, UnionType
from typing import (
    Any,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from orchestrator.core.errors import BadName, UsageError

P = ParamSpec("P")
R = TypeVar("R")
_Method = Callable[..., Any]


class Call:
    """The target of ``__wrapped__``: tells :mod:`inspect` the signature without the transaction.

    The signature is made when it is asked for, because :mod:`inspect` is not loaded by a quick command.

    Args:
        body: The function as it is written, with the transaction as its second parameter.
        wrapper: The function that callers call; its annotations become those of the call.
        result_of: The function whose result the call returns.
        hidden: How many parameters behind ``self`` callers do not give: the transaction of a command.
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
        """Raise the :class:`TypeError` of arguments that do not fit; do nothing for others."""
        import inspect

        inspect.getcallargs(self, *args, **kwargs)

    def check(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Check arguments by the annotations; an iterator becomes a tuple, because the check uses it up.

        Raises:
            TypeError: A ``**facts`` of the body would take a keyword that its TypedDict does not name.
            UsageError: A value is of another kind than its annotation says.
        """
        if self._is_unpacked and not self.hints.keys() >= kwargs.keys():
            unknown = min(kwargs.keys() - self.hints.keys())
            raise TypeError(f"{self.__name__}() got an unexpected keyword argument {unknown!r}")
        hints = self.hints
        if len(args) > self._places or not hints.keys() >= kwargs.keys():
            return args, kwargs  # the call itself says what is wrong
        by_place = (_fitting(name, value, hints[name]) for name, value in zip(hints, args))  # noqa: B905
        return tuple(by_place), {n: _fitting(n, value, hints[n]) for n, value in kwargs.items()}


class _LateHints:
    """The target of ``__wrapped__`` of a method whose hints name classes that are imported late."""

    def __init__(self, method: FunctionType, module: str) -> None:
        self._method = method
        self._module = module

    @property
    def __wrapped__(self) -> FunctionType:
        method = self._method
        known = method.__globals__ | vars(import_module(self._module))
        copy = FunctionType(
            method.__code__, known, method.__name__, method.__defaults__, method.__closure__
        )
        copy.__kwdefaults__ = method.__kwdefaults__
        copy.__annotations__ = get_type_hints(method, known)
        return copy


def late_hints(module: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let the quoted hints of a method be found in a module that is imported when they are read."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        method.__wrapped__ = _LateHints(method, module)  # type: ignore[attr-defined,arg-type]
        return method

    return decorate


def checked(method: _Method) -> _Method:
    """Give a query that checks its arguments as commands do; a command is given back as it is."""
    if isinstance(getattr(method, "__wrapped__", None), Call):
        return method

    def query(self: object, *args: object, **kwargs: object) -> object:
        args, kwargs = call.check(args, kwargs)
        return method(self, *args, **kwargs)

    call = Call(method, query, method, hidden=0)
    return query


def _without_unpack(hints: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, hint in hints:
        fields = _fields(hint)
        yield from ((name, hint),) if fields is None else fields


def _fields(hint: Any) -> list[tuple[str, Any]] | None:
    """The keyword arguments that ``**facts: Unpack[Facts]`` stands for; None for another annotation."""
    if getattr(hint, "__origin__", None) is not Unpack:
        return None
    fields = hint.__args__[0].__annotations__.items()
    return [(name, h.__origin__ if hasattr(h, "__metadata__") else h) for name, h in fields]


class _Form(NamedTuple):
    """What an annotation takes: values of some classes, and lists and mappings of some class of items."""

    classes: tuple[type, ...]
    list_of: type | None
    mapping_of: type | None
    in_words: str


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
"""How a value of each class is called; annotations of other classes are not checked."""


@functools.cache
def _form(hint: object) -> _Form | None:
    """Read an annotation; None if it takes what is not checked."""
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
    """Return a value that fits its annotation.

    Without this, ``labels="ui"`` would be the labels ``u`` and ``i``.

    Raises:
        UsageError: It does not fit.
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


def check_list(name: str, items: Iterable[object]) -> None:
    """Refuse a list in which a text is empty, or a text or number stands twice.

    Raises:
        BadName: It holds an empty text.
        UsageError: It holds an item twice.
    """
    seen = set()
    for item in items:
        if item == "":
            raise BadName(f"`{name}` holds an empty text", hint="Leave it out.")
        if isinstance(item, (str, int)):
            if item in seen:
                raise UsageError(f"`{name}` holds {item!a} twice", hint="Give it once.")
            seen.add(item)
