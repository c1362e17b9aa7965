"""Decoding payloads: unknown types are refused as newer, or skipped if agents logged them."""

import msgspec
import pytest

from orchestrator import Damage
from orchestrator.core.events import Recorded, decode, is_known, unknown_fields
from orchestrator.core.strict_json import encode_payload
from orchestrator.domain.tasks.checks import Checks
from orchestrator.domain.tasks.events import TaskAdded, TaskCompleted

TS = "2026-11-21T06:13:00.123Z"


def test_an_unknown_type_of_our_own_is_refused_as_newer_and_others_are_passed_over():
    ours = Recorded(1, TS, "ann", "task.teleported", msgspec.Raw(b"{}"))
    with pytest.raises(Damage) as caught:
        decode(ours)
    assert caught.value.code == "newer_version"
    assert decode(msgspec.structs.replace(ours, type="teleported")) is None
    assert decode(msgspec.structs.replace(ours, type="taskforce.teleported")) is None


@pytest.mark.parametrize(
    "payload", [b"{}", b'{"task":1,"result":""}', b'{"task":1,"colour":"red"}', b"[]", b"null"]
)
def test_a_payload_of_another_shape_is_refused_as_newer(payload: bytes):
    with pytest.raises(Damage) as caught:
        decode(Recorded(1, TS, "ann", "task.completed", msgspec.Raw(payload)))
    assert caught.value.code == "newer_version"


def test_a_field_that_is_not_known_is_carried_and_written_again():
    payload = b'{"task":"a","colour":"red","apply":1}'
    event = decode(Recorded(1, TS, "ann", "task.completed", msgspec.Raw(payload)))
    assert isinstance(event, TaskCompleted)
    assert (event.task, event.TYPE) == ("a", "task.completed")
    assert unknown_fields(event) == {"colour": "red", "apply": 1}
    again = msgspec.json.decode(encode_payload(event, unknown_fields(event)))
    assert again == msgspec.json.decode(payload)


def test_a_field_that_is_not_known_in_a_record_of_a_payload_is_carried_too():
    checks = {"verify": ["make"], "expect": {"lines": 3}}
    payload = {"task": "a", "workstream": "w", "title": "T", "checks": checks}
    event = decode(Recorded(1, TS, "ann", "task.added", encode_payload(payload)))
    assert isinstance(event, TaskAdded)
    assert event.checks == Checks(verify=("make",))
    assert unknown_fields(event) == {"checks": {"expect": {"lines": 3}}}
    assert msgspec.json.decode(encode_payload(event, unknown_fields(event))) == payload


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("task.added.title", True),
        ("task.added.colour", False),
        ("task.added.checks.verify", True),
        ("task.added.checks.expect.lines", False),
        ("task.teleported.to", False),
    ],
)
def test_what_is_known_of_an_event_is_asked_by_its_path(path: str, known: bool):
    assert is_known(path) == known


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_version_of_a_payload_is_refused(version: int):
    record = Recorded(1, TS, "ann", "task.completed", msgspec.Raw(b'{"task":"a"}'), version)
    with pytest.raises(Damage) as caught:
        decode(record)
    assert caught.value.code == "newer_version"
