"""Names: the same allowlist at every interface. The first rows of the contract's table of bad input."""

from collections.abc import Callable

import pytest
from boards import changes_nothing
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import BadName, Orchestrator
from orchestrator.core import names
from orchestrator.core.printable import escape, escape_lines

BAD = {
    "empty": "",
    "dot": ".",
    "two dots": "..",
    "parent": "../x",
    "inner parent": "a/../b",
    "two dots inside": "a..b",
    "leading dot": ".hidden",
    "trailing dot": "a.",
    "trailing blank": "a ",
    "blank": "a b",
    "leading dash": "-rf",
    "backslash": "a\\b",
    "absolute": "/etc/passwd",
    "drive": "c:x",
    "wildcard": "a*",
    "quote": 'a"b',
    "dollar": "$HOME",
    "backquote": "`id`",
    "semicolon": "a;b",
    "pipe": "a|b",
    "NUL": "a\0b",
    "newline": "a\nb",
    "carriage return": "a\rb",
    "tab": "a\tb",
    "escape": "a\x1b[31m",
    "delete": "a\x7f",
    "C1": "a\x9bb",
    "bidi": "a\u202eb",
    "bidi isolate": "a\u2066b",
    "zero width": "a\u200bb",
    "byte order mark": "\ufeffa",
    "line separator": "a\u2028b",
    "no-break space": "a\u00a0b",
    "lone surrogate": "a\ud800",
    "private use": "a\ue000",
    "unassigned": "a\u0378",
    "not NFC": "cafe\u0301",
    "201 bytes": "x" * 201,
    "201 bytes of two": "é" * 101,
    "device": "con",
    "device in capitals": "NUL",
    "device with ending": "aux.md",
    "device with number": "LPT9",
    "device with a raised number": "com\u00b9.txt",
}
GOOD = [
    "a",
    "A",
    "0",
    "_",
    "a-b",
    "a.b",
    "a@b",
    "a+b",
    "é",
    "名前",
    "x" * 200,
    "é" * 100,
    "console",
]

DOORS: dict[str, Callable[[Orchestrator, str], object]] = {
    "workstreams.create": lambda orc, name: orc.workstreams.create(name),
    "tasks.add type": lambda orc, name: orc.tasks.add("build", title="x", type=name),
    "tasks.add label": lambda orc, name: orc.tasks.add("build", title="x", labels=[name]),
    "tasks.add child": lambda orc, name: orc.tasks.add(
        "build", title="x", parent=orc.tasks.all()[0].id, name=name
    ),
    "agents.register": lambda orc, name: orc.agents.register(name),
    "agents.register type": lambda orc, name: orc.agents.register("ann", type=name),
    "agents.register capability": lambda orc, name: orc.agents.register("a", capabilities=[name]),
    "agents.heartbeat": lambda orc, name: orc.agents.heartbeat(name),
    "agent of a command": lambda orc, name: orc.tasks.next(agent=name),
    "knowledge.write": lambda orc, name: orc.knowledge.write(name, "x"),
    "knowledge.append": lambda orc, name: orc.knowledge.append(name, "x"),
    "knowledge.read": lambda orc, name: orc.knowledge.read(name),
    "knowledge.delete": lambda orc, name: orc.knowledge.delete(name),
    "knowledge tag": lambda orc, name: orc.knowledge.write("findings", "x", tags=[name]),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_name_is_refused_at_every_door_and_nothing_happens(orc: Orchestrator, bad: str):
    orc.workstreams.create("build")
    orc.tasks.add("build", title="parent")
    with changes_nothing(orc):
        for door, call in DOORS.items():
            if bad == "empty" and door == "tasks.add type":
                continue  # an empty type is the usual one
            with pytest.raises(BadName) as caught:
                call(orc, BAD[bad])
            assert (caught.value.code, caught.value.exit_status) == ("bad_name", 2), door
            assert caught.value.message.isascii(), door
            assert caught.value.message.isprintable(), door
    assert set(orc.engine.store.presence.seen()) <= {"ann", "a"}
    assert orc.engine.documents.names("knowledge") == []


@pytest.mark.parametrize("good", GOOD)
def test_a_good_name_passes(good: str):
    assert names.name("topic", good) == good
    assert names.agent(good) == good


@pytest.mark.parametrize("path", ["a/b", "rig/crew/ann", "a/" * 99 + "b"])
def test_only_agents_may_have_paths(path: str):
    assert names.agent(path) == path
    with pytest.raises(BadName):
        names.name("topic", path)


@pytest.mark.parametrize(
    "path", ["a//b", "/a", "a/", "a/./b", "a/../b", "a/-b", "a/con", "a/b" * 80]
)
def test_every_part_of_an_agents_path_is_a_name(path: str):
    with pytest.raises(BadName):
        names.agent(path)


@pytest.mark.parametrize(
    ("existing", "new"),
    [("build", "Build"), ("STRASSE", "stra\u00dfe"), ("É", "é"), ("\u212b", "\u00e5")],
)
def test_names_that_would_be_one_file_collide(existing: str, new: str):
    with pytest.raises(BadName):
        names.name("topic", new, among=[existing])


def test_an_existing_name_does_not_collide_with_itself():
    assert names.name("topic", "Build", among=["Build", "other"]) == "Build"


@given(st.text(max_size=30))
def test_whatever_passes_is_one_safe_file_name(text: str):
    try:
        names.agent(text)
    except BadName:
        return
    file = names.file_name(text)
    assert "/" not in file
    assert "\0" not in file
    assert file not in ("", ".", "..")
    assert not file.startswith((".", "-"))
    assert names.from_file_name(file) == text


@given(st.text(max_size=30))
def test_a_resource_is_shown_as_it_is(text: str):
    try:
        names.resource(text)
    except BadName:
        return
    assert escape(text) == text
    assert text
    assert ".." not in text.split("/")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain café", "plain café"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2066b", "a\\u2066b"),
        ("a\x9bb", "a\\x9bb"),
        ("a\u2028b", "a\\u2028b"),
        ("a\0b\x7f", "a\\x00b\\x7f"),
        ("\ud800", "\\ud800"),
        ("\u061c\u200f\ufeff", "\\u061c\\u200f\\ufeff"),
    ],
)
def test_escape_shows_what_would_move_hide_or_reorder(text: str, shown: str):
    assert escape(text) == shown


def test_escape_lines_keeps_newlines_and_tabs_only():
    assert escape_lines("a\n\tb\x1b\r") == "a\n\tb\\x1b\\r"


@given(st.text())
def test_escaped_text_is_one_line_without_a_control_character(text: str):
    shown = escape(text)
    assert len(shown.splitlines()) <= 1
    assert all(c >= " " and c != "\x7f" for c in shown)
    shown.encode()
