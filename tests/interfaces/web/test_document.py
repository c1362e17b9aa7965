"""The OpenAPI document is valid, and examples, results and errors match its schemas."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from orchestrator.interfaces.web import openapi

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return openapi.document()


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_is_valid_and_every_definition_is_used(document: Json):
    pytest.importorskip("openapi_spec_validator").validate(document)
    assert {*references(document)} == {*document["components"]["schemas"]}


def test_examples_fit_their_schemas(document: Json):
    components = {"components": document["components"]}
    examples = 0
    for _, operation in operations(document):
        given = [parameter for parameter in operation["parameters"] if "example" in parameter]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for each in [*given, *([body] if "example" in body else [])]:
            jsonschema.Draft202012Validator({**each["schema"], **components}).validate(
                each["example"]
            )
            examples += 1
    assert examples > len(document["paths"])


def test_every_answer_has_a_type_and_every_error_is_a_problem(document: Json):
    untyped = set()
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                if status >= "400":
                    assert media_type == "application/problem+json", name
                    assert content["schema"]["$ref"].endswith("/ProblemDetails"), name
                elif not content["schema"]:
                    untyped.add(name)
    assert untyped == {"get /api/commands/saved/ask"}  # the answer of the command behind it
