"""How Python sees the call of a command or query: its signature, its hints, and which arguments are lists."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from types import FunctionType, UnionType
from typing import Any, ParamSpec, TypeVar, Unpack, get_type_hints

from orchestrator.core.errors import UsageError

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

    def refuse_unknown(self, kwargs: Mapping[str, object]) -> None:
        """Refuse what a ``**facts`` of the body would take although its TypedDict does not name it."""
        if self._is_unpacked and not self.hints.keys() >= kwargs.keys():
            unknown = min(kwargs.keys() - self.hints.keys())
            raise TypeError(f"{self.__name__}() got an unexpected keyword argument {unknown!r}")


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


def refuse_texts(method: _Method) -> _Method:
    """Give a method that refuses a text where its annotations say that a list is meant.

    Without this, ``labels="ui"`` would be the labels ``u`` and ``i``. A method without such parameters is
    given back as it is.
    """
    given = [(name, hint) for name, hint in method.__annotations__.items() if name != "return"]
    hints = [*_without_unpack(given)]
    lists = {name for name, hint in hints if _is_list(hint)}
    if not lists:
        return method
    names = [name for name, _ in hints]

    def checked(self: object, *args: object, **kwargs: object) -> object:
        call.refuse_unknown(kwargs)
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in lists and isinstance(value, (str, bytes)):
                raise UsageError(
                    f"`{name}` takes a list, not the text {value!a}",
                    hint=f"Write {name}=[{value!a}].",
                )
        return method(self, *args, **kwargs)

    call = Call(method, checked, method, hidden=0)
    return checked


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


def _is_list(hint: object) -> bool:
    """Whether an annotation means several values, and no single text."""
    choices = hint.__args__ if isinstance(hint, UnionType) else (hint,)
    origins = [getattr(choice, "__origin__", None) for choice in choices]
    return str not in choices and any(
        isinstance(origin, type) and issubclass(origin, Iterable) for origin in origins
    )
