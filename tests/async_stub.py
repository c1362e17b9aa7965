"""Writes ``orchestrator/async_nouns.pyi``: the awaitable commands and queries for type checkers.

``python tests/async_stub.py`` writes it; a test fails when it is not what the plain facade says.
"""

import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from orchestrator.api import Lazy, Orchestrator
from orchestrator.async_api import AsyncOrchestrator

STUB = Path(__file__).parent.parent / "orchestrator" / "async_nouns.pyi"


class Raw(str):
    """A piece of code in a signature."""

    __slots__ = ()
    __repr__ = str.__str__


def stub() -> str:
    """The text of the stub."""
    members = {
        name: inspect.getattr_static(Orchestrator, name)
        for name in dir(Orchestrator)
        if not name.startswith("_") and name not in vars(AsyncOrchestrator)
    }
    nouns = {name: m.load() for name, m in members.items() if isinstance(m, Lazy)}
    classes = [f"class Async{cls.__name__}:\n" + "\n".join(methods(cls)) for cls in nouns.values()]
    facade = [f"    {name}: Async{cls.__name__}" for name, cls in nouns.items()]
    facade += [
        method(name, member)
        for name, member in members.items()
        if isinstance(member, types.FunctionType)
    ]
    text = "\n\n".join([*classes, "class AsyncNouns:\n" + "\n".join(facade)])
    modules = sorted(set(re.findall(r"\b([a-z]\w*(?:\.[a-z_]\w*)*)\.[A-Z]", text)))
    imports = "\n".join(f"import {module}" for module in ["builtins", *modules])
    return f"# Written by tests/async_stub.py.\n\n{imports}\n\n{text}\n"


def methods(cls: type) -> Iterator[str]:
    """The public methods of a noun."""
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if not name.startswith("_") and isinstance(member, types.FunctionType):
            line = method(name, member)
            if "Transaction[" not in line:  # a part of commands, not a command
                yield line


def method(name: str, plain: types.FunctionType) -> str:
    """The awaitable form of one method, or the async iterator that it becomes."""
    signature = inspect.signature(plain)
    hints = typing.get_type_hints(plain)
    result = hints["return"]
    yields = typing.get_origin(result) is Iterator
    parameters = [
        parameter.replace(
            annotation=Raw(text(hints[parameter.name]))
            if parameter.name in hints
            else inspect.Parameter.empty,
            default=parameter.default if parameter.default is parameter.empty else Raw("..."),
        )
        for parameter in signature.parameters.values()
    ]
    if yields:
        result = typing.get_args(result)[0]
        returns = Raw(f"collections.abc.AsyncIterator[{text(result)}]")
    else:
        returns = Raw(text(result))
    shown = signature.replace(parameters=parameters, return_annotation=returns)
    return f"    {'' if yields else 'async '}def {name}{shown}: ..."


def text(hint: object) -> str:
    """An annotation as code, with the modules of its names."""
    if hint is type(None):
        return "None"
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return f"{hint.__module__}.{hint.__qualname__}".removeprefix("builtins.")
    shown = repr(hint).replace("NoneType", "None")
    return re.sub(r"\b(list)\[", r"builtins.\1[", shown)


if __name__ == "__main__":
    STUB.write_text(stub())
    sys.stdout.write(f"{STUB} is written\n")
