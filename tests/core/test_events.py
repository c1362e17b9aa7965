"""Decoding payloads: what is unknown is refused as newer, or passed over if it is the agents' own."""

import msgspec
import pytest

from orchestrator import Damage
from orchestrator.core.events import Recorded, decode

TS = "2026-11-21T06:13:00.123Z"


def test_an_unknown_type_of_our_own_is_refused_as_newer_and_others_are_passed_over():
    ours = Recorded(1, TS, "ann", "task.teleported", msgspec.Raw(b"{}"))
    with pytest.raises(Damage) as caught:
        decode(ours)
    assert caught.value.code == "newer_version"
    assert decode(msgspec.structs.replace(ours, type="teleported")) is None
    assert decode(msgspec.structs.replace(ours, type="taskforce.teleported")) is None


@pytest.mark.parametrize(
    "payload", [b"{}", b'{"task":1,"result":""}', b'{"task":"a","colour":"red"}', b"[]", b"null"]
)
def test_a_payload_of_another_shape_is_refused_as_newer(payload: bytes):
    with pytest.raises(Damage) as caught:
        decode(Recorded(1, TS, "ann", "task.completed", msgspec.Raw(payload)))
    assert caught.value.code == "newer_version"


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_version_of_a_payload_is_refused(version: int):
    at = Recorded(1, TS, "ann", "task.completed", msgspec.Raw(b'{"task":"a"}'), version)
    with pytest.raises(Damage) as caught:
        decode(at)
    assert caught.value.code == "newer_version"
