"""The OpenAPI 3.1 document, made from the declarations of the routes and of the commands."""

from collections.abc import Iterator
from typing import Any, Union, get_origin

import msgspec

from orchestrator.interfaces.catalogue import CommandCall, Parameter
from orchestrator.interfaces.result_schemas import ResultSchemas
from orchestrator.interfaces.web import command_routes
from orchestrator.interfaces.web.answers import FIELDS, LARGEST_PAGE, PROBLEM, ProblemDetails
from orchestrator.interfaces.web.endpoints import Endpoint, Nothing
from orchestrator.interfaces.web.original import ORIGINAL
from orchestrator.version import __version__

_REFERENCE = "#/components/schemas/{name}"
_EVERY = (400, 401, 403, 422, 503)
"""The errors of every route."""

_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The request id: repeating the request has one effect and gives the first result.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
_TAG: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the answer that the client has: 304 if it is still the same.",
    "schema": {"type": "string"},
}
_FIELDS: dict[str, Any] = {
    "name": "fields",
    "in": "query",
    "description": "Only these fields of each record: `id,title`. The schema describes whole records.",
    "schema": {"type": "string", "pattern": FIELDS},
}
_PAGES: list[dict[str, Any]] = [
    {
        "name": "page",
        "in": "query",
        "description": "The number of a page of a list; the header Link has its neighbours.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    },
    {
        "name": "per_page",
        "in": "query",
        "description": "The size of a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE},
    },
]


def document() -> dict[str, Any]:
    """The document."""
    results = ResultSchemas(_REFERENCE)
    results.of(ProblemDetails)
    paths: dict[str, dict[str, Any]] = {}
    for route in ORIGINAL:
        path = route.path.replace(":path", "")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, results)
    for path, call in command_routes.calls().items():
        paths[f"{command_routes.PREFIX}{path}"] = {
            method.lower(): _command(path, call, method, results)
            for method in command_routes.methods_of(call)
        }
    _, bodies = msgspec.json.schema_components(
        [route.body for route in ORIGINAL if route.body is not Nothing], ref_template=_REFERENCE
    )
    paths["/api/stream"] = {"get": _STREAM}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The board",
            "version": __version__,
            "description": "Every answer that is an error is a problem (RFC 9457).",
        },
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": {**bodies, **results.definitions},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "orc_PORT"},
            },
        },
    }


def _operation(route: Endpoint, results: ResultSchemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.about,
        "tags": ["original"],
        "parameters": [*_parameters(route), *_selecting(route)],
        "responses": {
            str(route.status): _content("Done.", results.of(_result_of(route)), route.media_type),
            **_others(route.method, route.errors),
        },
    }
    if route.body is not Nothing:
        content: dict[str, Any] = {"schema": _schema(route.body)}
        if route.example:
            content["example"] = route.example
        operation["requestBody"] = {
            "required": any(field.required for field in msgspec.structs.fields(route.body)),
            "content": {"application/json": content},
        }
    return operation


def _result_of(route: Endpoint) -> Any:
    kinds = route.result if isinstance(route.result, tuple) else (route.result,)
    return Union[kinds]  # noqa: UP007  the choices are known only here


def _name(route: Endpoint) -> str:
    words = [word for word in route.path.split("/")[2:] if not word.startswith("{")]
    return "_".join([route.method.lower(), *words, *(["one"] if route.path.endswith("}") else [])])


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    return schema


def _parameters(route: Endpoint) -> Iterator[dict[str, Any]]:
    for word in route.path.split("/"):
        if word.startswith("{"):
            name = word.strip("{}").removesuffix(":path")
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
            }
    for field in msgspec.structs.fields(route.query):
        yield {"name": field.name, "in": "query", "schema": _schema(field.type)}


def _selecting(route: Endpoint) -> list[dict[str, Any]]:
    if route.method == "GET" and route.media_type != "application/json":
        return [_TAG]
    return _shared(route.method, get_origin(route.result) is list)


def _shared(method: str, is_list: bool = True) -> list[dict[str, Any]]:
    if method != "GET":
        return [_KEY]
    return [_TAG, _FIELDS, *_PAGES] if is_list else [_TAG, _FIELDS]


def _others(method: str, errors: tuple[int, ...]) -> dict[str, Any]:
    """The answers of a route that are not its result."""
    if method == "GET":
        return {"304": {"description": "The client has it."}, **_problems((*errors, *_EVERY))}
    return _problems((409, *errors, *_EVERY))


def _content(about: str, schema: dict[str, Any], media_type: str) -> dict[str, Any]:
    return {"description": about, "content": {media_type: {"schema": schema}}}


def _problems(statuses: tuple[int, ...]) -> dict[str, Any]:
    reference = {"$ref": _REFERENCE.format(name="ProblemDetails")}
    return {
        str(status): _content("A problem.", reference, PROBLEM) for status in sorted({*statuses})
    }


_HEADERS: dict[str, Any] = {
    "Exit-Status": {
        "description": "That of the command line: 1 if the answer is a refusal.",
        "schema": {"type": "integer"},
    },
    "Warnings": {
        "description": "What the command warns of: sentences, as a JSON array.",
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": {"type": "string"}},
                "example": ["5d41402a says the same: Write the parser"],
            }
        },
    },
}
"""The headers of the answer of a command."""


def _command(path: str, call: CommandCall, method: str, results: ResultSchemas) -> dict[str, Any]:
    name = path.replace("/", "_").replace("-", "_")
    is_question = method == "GET" and not call.is_read_only
    operation: dict[str, Any] = {
        "operationId": f"{'question' if is_question else 'command'}_{name}",
        "summary": call.command.summary,
        "description": f"`orc {call.words}`. With `Accept: text/plain`: the text for people.",
        "tags": [path.partition("/")[0]],
        "parameters": _shared(method),
        "responses": {
            "200": {
                "description": "The answer; Exit-Status is that of the command line.",
                "headers": _HEADERS,
                "content": {
                    "application/json": {"schema": results.of_command(call.command)},
                    "text/plain": {"schema": {"type": "string"}},
                },
            },
            **_others(method, (404, 409)),
        },
    }
    if method == "GET":
        asked = _asked(call) if is_question else call.parameters
        operation["parameters"] = [*map(_argument, asked), *_shared(method)]
    else:
        operation["requestBody"] = {
            "required": any(parameter.is_required for parameter in call.parameters),
            "content": {
                "application/json": {
                    "schema": {**call.input_schema(), "additionalProperties": False},
                    "example": {p.name: _value(p) for p in call.parameters if p.is_required},
                }
            },
        }
    return operation


def _asked(call: CommandCall) -> list[Parameter]:
    """The arguments of a command that changes the board, for a call that changes nothing."""
    reads, questions = call.command.reads, call.command.questions
    changing = reads if isinstance(reads, tuple) else ()
    return [
        msgspec.structs.replace(p, schema={**p.schema, "const": True}, is_required=True)
        if p.name in questions
        else p
        for p in call.parameters
        if p.name not in changing
    ]


def _argument(parameter: Parameter) -> dict[str, Any]:
    schema = {name: value for name, value in parameter.schema.items() if name != "description"}
    argument: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "required": parameter.is_required,
        "schema": schema,
        "example": _value(parameter),
    }
    if "description" in parameter.schema:
        argument["description"] = parameter.schema["description"]
    return argument


_VALUES: dict[str, Any] = {
    "task": "299833bc",
    "workstream": "build",
    "topic": "parser",
    "resource": "src/parser.py",
    "title": "Write the parser",
    "reason": "It is not needed",
}


def _value(parameter: Parameter) -> Any:
    return _value_of(parameter.schema, parameter.name)


def _value_of(schema: dict[str, Any], name: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "array":
        return [_value_of(schema["items"], name.removesuffix("s"))]
    return {"integer": 1, "boolean": True}.get(schema["type"]) or _VALUES.get(name, "text")


_STREAM: dict[str, Any] = {
    "operationId": "get_stream",
    "summary": "The events of the log as they happen, as server-sent events; each has the id of its event.",
    "tags": ["events"],
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "Continue after this event; without it: from now.",
            "schema": {"type": "integer", "minimum": 0},
        },
        {
            "name": "since",
            "in": "query",
            "description": "The same, for the first request.",
            "schema": {"type": "integer", "minimum": 0},
        },
        {"name": "agent", "in": "query", "schema": {"type": "string"}},
        {
            "name": "type",
            "in": "query",
            "schema": {"type": "string"},
            "example": "task.*",
        },
    ],
    "responses": {
        "200": _content("Events.", {"type": "string"}, "text/event-stream"),
        **_problems((409, *_EVERY)),
    },
}
