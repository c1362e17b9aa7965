"""The JSON schemas of results, made from the annotations of commands and of the records in them.

A schema describes what :func:`orchestrator.interfaces.cli.rendering.plain` writes. Annotations are read in
the source, because modules import many names only for the type checker; nothing of it happens until a
schema is wanted.
"""

import ast
import builtins
import enum
import importlib
import inspect
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    ForwardRef,
    Literal,
    NotRequired,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

import msgspec

from orchestrator.interfaces.cli.groups import Command
from orchestrator.interfaces.cli.rendering import Answer, Joined

Schema = dict[str, Any]

_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}

_MEANINGS = (
    (re.compile(r"(.*_)?(at|ts|until|since)|due|starts|ends"), "A time (ISO 8601, UTC)."),
    (re.compile(r"task|parent|workflow|needs|needs_failure_of|tasks"), "The id of a task."),
    (re.compile(r"agent|.*_by|assigned_to|assignee|reviewer"), "The name of an agent."),
)
"""The meaning of a text by the name of its field, if the record does not describe the field."""


class ResultSchemas:
    """Schemas that share definitions, one for each record.

    Args:
        reference: How a definition is referred to, with ``{name}``.
        is_brief: Fields are not described.

    Attributes:
        definitions: The schemas of records by name.
    """

    def __init__(self, reference: str, *, is_brief: bool = False) -> None:
        self._reference = reference
        self._is_brief = is_brief
        self._names: dict[Any, str] = {}
        self.definitions: dict[str, Schema] = {}

    def of_command(self, command: Command) -> Schema:
        """The schema of the value that a command answers with; null if it has none."""
        assert command.callback is not None
        callback = inspect.unwrap(command.callback)
        returned = _resolved(callback.__annotations__["return"], callback.__module__)
        answers = [kind for kind in _choices(returned) if get_origin(kind) is Answer]
        return self._any_of(get_args(kind)[0] for kind in answers) if answers else {"type": "null"}

    def of(self, kind: Any) -> Schema:
        """The schema of a type."""
        if kind in (Any, object):
            return {}
        if kind in _PLAIN:
            return {"type": _PLAIN[kind]}
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, NotRequired):
            return self._any_of(arguments)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is Joined:
            return self._joined(kind)
        record = origin or kind
        if issubclass(record, msgspec.Struct) or is_typeddict(record) or hasattr(record, "_fields"):
            return self._referred(kind)
        return self._of_class(record, arguments)

    def _of_class(self, record: Any, arguments: tuple[Any, ...]) -> Schema:
        if issubclass(record, Mapping):
            values = self.of(arguments[1]) if arguments else {}
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        if issubclass(record, enum.Enum):
            return {"enum": [member.value for member in record]}
        if issubclass(record, str):
            return {"type": "string"}
        assert issubclass(record, Iterable), record
        if record is tuple and arguments[-1:] != (...,):
            return self._places(arguments)
        items = self.of(arguments[0]) if arguments else {}
        return {"type": "array", **({"items": items} if items else {})}

    def _places(self, kinds: Iterable[Any]) -> Schema:
        places = [self.of(kind) for kind in kinds]
        return {"type": "array", "prefixItems": places, "items": False, "minItems": len(places)}

    def _any_of(self, kinds: Iterable[Any]) -> Schema:
        schemas: list[Schema] = []
        for schema in (choice for kind in kinds for choice in self._flat(kind)):
            if schema not in schemas:
                schemas.append(schema)
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _flat(self, kind: Any) -> list[Schema]:
        schema = self.of(kind)
        choices: list[Schema] = schema.get("anyOf", [schema])
        return choices

    def _joined(self, kind: Any) -> Schema:
        """Each choice of the first record with each choice of the second one."""
        pairs: list[list[Any]] = [[]]
        for argument in _joined_kinds(kind):
            pairs = [[*pair, choice] for pair in pairs for choice in _choices(argument)]
        schemas = [{"allOf": [*self._parts(pair)]} for pair in pairs]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _parts(self, kinds: list[Any]) -> Iterator[Schema]:
        """The records that form one object; if two of them have the same field, the later record counts."""
        for place, kind in enumerate(kinds):
            later = {name for each in kinds[place + 1 :] for name in _fields(each)}
            yield self._object(kind, later) if later & {*_fields(kind)} else self.of(kind)

    def _referred(self, kind: Any) -> Schema:
        if kind not in self._names:
            name = _name(kind)
            if name in self.definitions:
                name = f"{(get_origin(kind) or kind).__module__.split('.')[-2].title()}{name}"
            assert name not in self.definitions, name
            self._names[kind] = name
            self.definitions[name] = {}  # a record may contain itself
            self.definitions[name] = self._record(kind)
        return {"$ref": self._reference.format(name=self._names[kind])}

    def _record(self, kind: Any) -> Schema:
        if issubclass(get_origin(kind) or kind, tuple):
            return {**_about(kind), **self._places(_fields(kind).values())}
        return self._object(kind)

    def _object(self, kind: Any, without: Iterable[str] = ()) -> Schema:
        fields = {name: each for name, each in _fields(kind).items() if name not in without}
        described = _described(get_origin(kind) or kind)
        properties: dict[str, Schema] = {}
        for name, each in fields.items():
            schema = self._any_of(
                choice for choice in _choices(each) if choice is not msgspec.UnsetType
            )
            about = "" if self._is_brief else described.get(name) or _meaning(name, schema)
            properties[name] = {**schema, "description": about} if about else schema
        required = [name for name, each in fields.items() if not _is_optional(each)]
        return {
            **_about(kind),
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
        }


# Types


def _resolved(written: Any, module: str, given: Mapping[Any, Any] | None = None) -> Any:
    """An annotation of a module as a type without names in quotes and without type variables."""
    if isinstance(written, ForwardRef):
        written = written.__forward_arg__
    if isinstance(written, str):
        written = _evaluated(ast.parse(written.strip(), mode="eval").body, module)
    if isinstance(written, TypeVar):
        return (given or {}).get(written, written.__bound__ or Any)
    if written is None:
        return type(None)
    origin, arguments = get_origin(written), get_args(written)
    if origin is None or origin is Literal:
        return getattr(written, "__supertype__", written)
    inner = [each if each is ... else _resolved(each, module, given) for each in arguments]
    return inner[0] if origin is Annotated else _generic(origin, inner)


def _generic(origin: Any, arguments: list[Any]) -> Any:
    kinds = tuple(arguments)
    if origin in (Union, types.UnionType):
        return Union[kinds]  # noqa: UP007  the choices are known only here
    return origin[kinds if len(kinds) > 1 else kinds[0]]


def _evaluated(node: ast.expr, module: str) -> Any:
    if isinstance(node, ast.Constant):
        value = node.value
        return _resolved(value, module) if isinstance(value, str) else value
    if isinstance(node, ast.Name):
        return _named(node.id, module)
    if isinstance(node, ast.Attribute):
        return getattr(_evaluated(node.value, module), node.attr)
    if isinstance(node, ast.BinOp):
        return _generic(Union, [_evaluated(side, module) for side in (node.left, node.right)])
    assert isinstance(node, ast.Subscript), ast.dump(node)
    origin = _evaluated(node.value, module)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if origin is Literal:
        return Literal[tuple(ast.literal_eval(each) for each in inner)]
    return _generic(origin, [_evaluated(each, module) for each in inner])


def _named(name: str, module: str) -> Any:
    """What a name means in a module, also if only the type checker imports it there."""
    if name in _imported(module):
        source, original = _imported(module)[name]
        return _named(original, source)
    value = getattr(importlib.import_module(module), name, None) or vars(builtins)[name]
    return _resolved(value, module)


@cache
def _imported(module: str) -> dict[str, tuple[str, str]]:
    """The names that a module of this package imports: the module of each, and its name there."""
    if not module.startswith(_PACKAGE):
        return {}
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    body += [inner for node in body if isinstance(node, ast.If) for inner in node.body]
    return {
        each.asname or each.name: (node.module, each.name)
        for node in body
        if isinstance(node, ast.ImportFrom) and node.module
        for each in node.names
    }


_PACKAGE = f"{__name__.partition('.')[0]}."


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Union else (kind,)


def _joined_kinds(kind: Any) -> list[Any]:
    """The types that are joined, however they are nested."""
    if get_origin(kind) is not Joined:
        return [kind]
    return [each for argument in get_args(kind) for each in _joined_kinds(argument)]


# Records


_CLASS_VARIABLE: Any = ClassVar


@cache
def _fields(kind: Any) -> dict[str, Any]:
    """The types of the fields of a record, in the order of the record."""
    record = get_origin(kind) or kind
    given = dict(zip(getattr(record, "__parameters__", ()), get_args(kind), strict=False))
    hints = {
        name: _resolved(written, base.__module__, given)
        for base in reversed(record.__mro__)
        if base.__module__.startswith(_PACKAGE)
        for name, written in inspect.get_annotations(base).items()
        if get_origin(written) is not _CLASS_VARIABLE
    }
    names = getattr(record, "__struct_fields__", None) or getattr(record, "_fields", None)
    return {name: hints[name] for name in names or hints}


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) is NotRequired or msgspec.UnsetType in _choices(kind)


def _name(kind: Any) -> str:
    record = get_origin(kind) or kind
    return "_".join([record.__name__.lstrip("_"), *map(_name, get_args(kind))])


def _about(kind: Any) -> Schema:
    """The first paragraph of the docstring of a record."""
    record = get_origin(kind) or kind
    text = record.__dict__.get("__doc__") or ""
    is_made = text.startswith(f"{record.__name__}(")  # the one of a named tuple
    return (
        {"description": _one_line(inspect.cleandoc(text).split("\n\n")[0])}
        if text and not is_made
        else {}
    )


@cache
def _described(record: Any) -> dict[str, str]:
    """What the docstrings of a record and its bases say about its fields."""
    described: dict[str, str] = {}
    for base in reversed(record.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        listed = text.partition("\nAttributes:\n")[2].split("\n\n")[0]
        found = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", listed, re.MULTILINE)
        described |= {name: _one_line(about) for name, about in found}
    return described


def _meaning(name: str, schema: Schema) -> str:
    text = {"type": "string"}
    if schema != text and schema.get("items") != text and text not in schema.get("anyOf", ()):
        return ""
    return next((meaning for names, meaning in _MEANINGS if names.fullmatch(name)), "")


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
