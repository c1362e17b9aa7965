"""Printed text is safe on a terminal; JSON contains the exact values."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.printable import escape, escape_lines
from orchestrator.interfaces.cli import rendering
from orchestrator.interfaces.cli.layout import fields, lines, paint, table
from orchestrator.interfaces.cli.rendering import to_json

from .conftest import CommandLine


class Record(msgspec.Struct, omit_defaults=True):
    name: str
    count: int = 0
    parts: tuple[str, ...] = ()
    inner: "Record | None" = None


@given(st.text())
def test_nothing_that_moves_a_cursor_or_turns_text_around_gets_through(text: str) -> None:
    shown = escape(text)
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in shown)
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f") & set(shown)
    assert len(shown.splitlines()) <= 1


def test_a_block_keeps_its_lines_and_tabs() -> None:
    assert escape_lines("a\n\tb\x1b[2J\r\n") == "a\n\tb\\x1b[2J\\r\n"


def test_titles_names_and_reasons_are_escaped_in_text_and_raw_in_json(cli: CommandLine) -> None:
    title = "evil \x1b[2J\u202e\nfake"
    cli("ws", "create", "w")
    output = cli("t", "add", "w", title)
    assert output.out.endswith(": evil \\x1b[2J\\u202e\\nfake\n")
    task = output.out.split()[2].rstrip(":")
    for line in (("t", "ls"), ("t", "show", task), ("events",), ("status",), ("runner", "plan")):
        out = cli(*line).out
        assert "\x1b" not in out
        assert "fake\n[" not in out
    assert cli("t", "ls", "--json").json[0]["title"] == title


def test_knowledge_is_escaped_but_keeps_its_lines(cli: CommandLine) -> None:
    cli("kb", "write", "t", "one\n\x1b[31mtwo")
    assert cli("kb", "read", "t").out == "one\n\\x1b[31mtwo\n"
    assert cli("kb", "read", "t", "--json").json["text"] == "one\n\x1b[31mtwo"


def test_json_has_every_field_also_those_at_their_default() -> None:
    data = to_json([Record("a", inner=Record("b"))])
    assert json.loads(data) == [
        {
            "name": "a",
            "count": 0,
            "parts": [],
            "inner": {"name": "b", "count": 0, "parts": [], "inner": None},
        }
    ]
    assert data.startswith(b"[\n  {\n    ")
    assert data.endswith(b"]\n")


def test_fields_are_all_that_programs_get_of_each_record(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "One", "--json").json["id"]
    cli("t", "add", "w", "Two")
    listed = cli("t", "ls", "--fields", "title, priority").json
    assert [[*each.items()] for each in listed] == [
        [("title", "One"), ("priority", 5)],
        [("title", "Two"), ("priority", 5)],
    ]
    assert cli("--fields=id", "t", "show", task).json == {"id": task}  # an answer of two records
    assert cli("mail", "inbox", "--fields", "subject", "--agent", "kim").json == []
    assert cli("kb", "read", "nothing", "--fields", "text", status=1).json is None


def test_a_field_that_no_record_has_is_refused_before_anything_is_printed(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    refused = cli("ws", "ls", "--fields", "name,prioritty", status=2)
    assert refused.out == ""
    error = json.loads(refused.err)["error"]
    assert error["message"] == "There is no field 'prioritty'; did you mean 'priority'?"
    assert error["hint"].startswith("The fields are: name, ")
    for names in ("name,", "name,name"):
        assert cli("ws", "ls", "--fields", names, status=2).out == ""


def test_a_command_that_changes_the_board_takes_no_fields(cli: CommandLine) -> None:
    cli("ws", "create", "w", "--fields", "nonsense", status=2)
    assert cli("ws", "ls", "--json").json == []


def test_json_of_a_lone_surrogate_is_still_json() -> None:
    assert json.loads(to_json({"file": "x\udcff"})) == {"file": "x\\udcff"}


def test_columns_are_aligned_and_numbers_stay_as_they_are() -> None:
    text = table(("id", "title"), [("00123456", "a"), ("1e5", None), ("x", "b\nc")])
    assert text.split("\n") == ["id        title", "00123456  a", "1e5", "x         b\\nc"]


def test_fields_leave_out_what_is_empty() -> None:
    assert fields([("a", 1), ("long", "x\ty"), ("none", None), ("blank", "")]) == (
        "a     1\nlong  x\\ty"
    )
    assert lines([], empty="(empty)") == "(empty)"


def test_colours_are_for_terminals_only_and_never_with_no_color(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert paint("x", "red") == "x"
    monkeypatch.setattr(rendering.sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("x", "red") == "\x1b[31mx\x1b[0m"
    assert paint("x", "") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "red") == "x"
