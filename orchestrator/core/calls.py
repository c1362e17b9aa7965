"""How Python sees the call of a command or query: its signature, its hints, and which arguments are lists."""

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.core.errors import UsageError

_Method = Callable[..., Any]


class Call:
    """The target of ``__wrapped__``: tells :mod:`inspect` the signature without the transaction.

    The signature is made when it is asked for, because :mod:`inspect` is not loaded by a quick command.

    Args:
        body: The function as it is written, with the transaction as its second parameter.
        wrapper: The function that callers call; its annotations are those of the call.
    """

    def __init__(self, body: _Method, wrapper: _Method) -> None:
        self.__wrapped__ = body
        self.__name__ = body.__qualname__
        self._wrapper = wrapper

    @property
    def __signature__(self) -> Any:
        import inspect

        body = inspect.signature(self.__wrapped__)
        parameters = [*body.parameters.values()]
        del parameters[1]
        return body.replace(
            parameters=parameters, return_annotation=self._wrapper.__annotations__["return"]
        )

    def __call__(self, *args: object, **kwargs: object) -> None:
        """Raise the :class:`TypeError` of arguments that do not fit; do nothing for others."""
        import inspect

        inspect.getcallargs(self, *args, **kwargs)


def wrap_body(body: _Method, wrapper: _Method, result_of: _Method) -> Call:
    """Let a wrapper that adds the transaction look like the call of a command.

    Args:
        body: The function with the transaction as its second parameter.
        wrapper: The function without it.
        result_of: The function whose result the call returns.
    """
    functools.update_wrapper(wrapper, body)
    hints = [*body.__annotations__.items()]
    result = result_of.__annotations__.get("return", Any)
    wrapper.__annotations__ = dict(hints[1:]) | {"return": result}
    call = Call(body, wrapper)
    wrapper.__wrapped__ = call  # type: ignore[attr-defined]
    return call


def refuse_texts(method: _Method) -> _Method:
    """Give a method that refuses a text where its annotations say that a list is meant.

    Without this, ``labels="ui"`` would be the labels ``u`` and ``i``. A method without such parameters is
    given back as it is.
    """
    hints = [(name, hint) for name, hint in method.__annotations__.items() if name != "return"]
    lists = {name for name, hint in hints if _is_list(hint)}
    if not lists:
        return method
    names = [name for name, _ in hints]

    @functools.wraps(method)
    def checked(self: object, *args: object, **kwargs: object) -> object:
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in lists and isinstance(value, (str, bytes)):
                raise UsageError(
                    f"`{name}` takes a list, not the text {value!a}",
                    hint=f"Write {name}=[{value!a}].",
                )
        return method(self, *args, **kwargs)

    checked.__annotations__ = method.__annotations__
    return checked


def _is_list(hint: object) -> bool:
    """Whether an annotation means several values, and no single text."""
    choices = hint.__args__ if isinstance(hint, types.UnionType) else (hint,)
    origins = [getattr(choice, "__origin__", None) for choice in choices]
    return str not in choices and any(
        isinstance(origin, type) and issubclass(origin, Iterable) for origin in origins
    )
