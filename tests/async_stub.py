"""Writes the type stubs of the nouns and queries: ``facade.pyi``, and ``async_nouns.pyi`` with async methods.

``python tests/async_stub.py`` writes both; a test fails if they differ from the facade.
"""

import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from orchestrator.api import Facade, Lazy, Orchestrator
from orchestrator.async_api import AsyncOrchestrator

PACKAGE = Path(__file__).parent.parent / "orchestrator"


class Raw(str):
    """A piece of code in a signature."""

    __slots__ = ()
    __repr__ = str.__str__


def stubs() -> dict[Path, str]:
    """The files and their texts."""
    return {PACKAGE / "facade.pyi": plain(), PACKAGE / "async_nouns.pyi": awaitable()}


def plain() -> str:
    """The nouns and queries of the facade."""
    members = {name: getattr(Orchestrator, name) for name in vars(Facade) if name[0] != "_"}
    lines = [
        f"{name}: {text(member.load())}"
        if isinstance(member, Lazy)
        else f'{head(name, member)}\n    """{member.__doc__}"""'
        for name, member in members.items()
    ]
    return module("class Facade:\n" + textwrap.indent("\n".join(lines), "    "))


def awaitable() -> str:
    """The same for the async facade, with a class for each noun."""
    members = {
        name: getattr(Orchestrator, name)
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
    return module("\n\n".join([*classes, "class AsyncNouns:\n" + "\n".join(facade)]))


def module(text: str) -> str:
    """The file with these classes."""
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
    """The async form of a method: awaitable, or an async iterator."""
    yields = typing.get_origin(typing.get_type_hints(plain)["return"]) is Iterator
    line = head(name, plain)
    if yields:
        return f"    {line.replace('-> collections.abc.', '-> collections.abc.Async')} ..."
    return f"    async {line} ..."


def head(name: str, plain: types.FunctionType) -> str:
    """The first line of one method."""
    signature = inspect.signature(plain)
    first, *others = signature.parameters.values()
    hints = typing.get_type_hints(plain)
    parameters = [
        parameter.replace(
            annotation=Raw(text(hints[parameter.name])),
            default=parameter.default if parameter.default is parameter.empty else Raw("..."),
        )
        for parameter in others
    ]
    me = first.replace(name="self", annotation=first.empty)
    shown = signature.replace(
        parameters=[me, *parameters], return_annotation=Raw(text(hints["return"]))
    )
    return f"def {name}{shown}:"


def text(hint: object) -> str:
    """An annotation as code, with the modules of its names."""
    if hint is type(None):
        return "None"
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return f"{hint.__module__}.{hint.__qualname__}".removeprefix("builtins.")
    shown = repr(hint).replace("NoneType", "None")
    return re.sub(r"\b(list)\[", r"builtins.\1[", shown)


if __name__ == "__main__":
    for path, code in stubs().items():
        path.write_text(code)
        sys.stdout.write(f"{path} is written\n")
