"""Edits of JSON text: what is not edited stays byte for byte."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import BadInput
from orchestrator.integrations.clients.json_text import JsonText, parse

from . import zoo

NAMES = st.text(max_size=4).filter(lambda name: name.isprintable())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)
SPACE = st.sampled_from(["", " ", "\n", "\t", "\r\n", "\n  ", " /* c } , */ ", ' // c ] "\n'])


@st.composite
def texts(draw: st.DrawFn, value: Any = None) -> str:
    """A JSON text with blanks, comments and trailing commas at every place."""
    value = draw(OBJECTS) if value is None else value
    if isinstance(value, dict | list):
        items = [
            (f"{json.dumps(k)}{draw(SPACE)}:" if isinstance(value, dict) else "", v)
            for k, v in (value.items() if isinstance(value, dict) else enumerate(value))
        ]
        inside = ""
        for i, (label, item) in enumerate(items):
            shown = draw(texts(item)) if item is not None else "null"
            comma = "," if i < len(items) - 1 or draw(st.booleans()) else ""
            inside += f"{draw(SPACE)}{label}{draw(SPACE)}{shown}{draw(SPACE)}{comma}"
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        return f"{opening}{inside}{draw(SPACE)}{closing}"
    return json.dumps(value)


@given(texts(), NAMES, VALUES)
def test_what_is_set_and_removed_leaves_the_bytes_that_were_there(
    text: str, name: str, value: Any
) -> None:
    edited = JsonText(text)
    before = edited.value
    if name in before:
        return
    edited.set((name,), value)
    assert edited.value == {**before, name: value}
    edited.remove((name,))
    assert edited.text == text


@given(texts(), st.data())
def test_an_edit_keeps_every_other_value_and_comment(text: str, data: st.DataObject) -> None:
    edited = JsonText(text)
    before = edited.value
    name = data.draw(st.sampled_from([*before]))
    edited.set((name,), "new")
    assert edited.value == {**before, name: "new"}
    edited.remove((name,))
    assert edited.value == {k: v for k, v in before.items() if k != name}
    assert edited.text.count("c } ,") <= text.count("c } ,")


@given(texts(), st.lists(VALUES, min_size=1, max_size=3))
def test_a_list_grows_and_shrinks_in_place(text: str, values: list[Any]) -> None:
    edited = JsonText(text)
    if "hooks" in edited.value:
        return
    for value in values:
        edited.append(("hooks", "Start"), value)
    assert edited.get(("hooks", "Start")) == values
    for i in reversed(range(len(values))):
        edited.remove(("hooks", "Start"), i)
    assert edited.get(("hooks", "Start")) == []
    edited.remove(("hooks",))
    assert edited.text == text


@given(texts(), st.data())
def test_what_is_read_is_what_the_standard_library_reads(text: str, data: st.DataObject) -> None:
    """A text with one other character is refused by both, but for comments and trailing commas."""
    text = json.dumps(parse(text).value, indent=data.draw(st.sampled_from([None, 1])))
    assert parse(text).value == json.loads(text)
    place = data.draw(st.integers(0, len(text)))
    other = data.draw(st.sampled_from(["", *'{}[],:"\\\n 01-.eEtu']))
    text = text[:place] + other + text[place + data.draw(st.integers(0, 1)) :]
    try:
        expected = json.loads(text, object_pairs_hook=_distinct)
    except ValueError:
        with suppress(BadInput):
            value = parse(text).value
            assert re.search(r",\s*[}\]]", text) or not text.strip(), value
    else:
        assert parse(text).value == expected


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)


@pytest.mark.parametrize("animal", zoo.JSON)
def test_files_of_the_zoo_can_be_read(animal: str) -> None:
    assert isinstance(parse(zoo.JSON[animal].decode("utf-8-sig")).value, dict)


def test_a_fault_is_named_by_its_line() -> None:
    for text, place in {
        "{\n  oops: 1\n}": "line 2, column 3",
        '{"a": 1}\n/* no end': "line 2, column 1",
        '{"a": 1\n': "line 2, column 1",
        '{"a": NaN}': "line 1, column 7",
        '{"a": "tab\t"}': "line 1, column 7",
    }.items():
        with pytest.raises(BadInput, match=place):
            parse(text)
