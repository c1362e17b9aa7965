"""The golden log: a line for every event type, as existing boards contain it. It must always be readable.

Lines are added with ``python tests/golden/append.py``, never changed.
"""

import json
import pkgutil
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

import orchestrator
from orchestrator import Orchestrator
from orchestrator.core.events import FORMAT, Recorded, decode, is_reserved, types
from orchestrator.core.strict_json import encode_payload
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.records import NEVER
from orchestrator.domain.tasks.events import TaskEvent
from orchestrator.stores.files import FileStore
from orchestrator.stores.files.lines import Position, encode_line, parse

GOLDEN = Path(__file__).parents[1] / "golden" / "events.jsonl"
LINES = GOLDEN.read_bytes().splitlines(keepends=True)
PAYLOADS = [(read["type"], read["payload"]) for read in map(json.loads, LINES)]
TYPES = [kind for kind, _ in PAYLOADS]


def events() -> list[Recorded]:
    parsed = parse(GOLDEN.read_bytes(), Position())
    assert not parsed.problem
    return parsed.events


@pytest.fixture(scope="module", autouse=True)
def _everything_that_registers_events_is_loaded() -> None:
    for module in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
        # Modules for another system cannot be imported on this one.
        if not module.name.endswith("__main__") and ".core.system." not in module.name:
            import_module(module.name)


def test_every_registered_type_has_a_golden_line():
    missing = {name for name in types() if name.partition(".")[0] != "tests"} - set(TYPES)
    assert not missing, f"add a line with tests/golden/append.py for: {', '.join(sorted(missing))}"


def test_every_field_of_every_registered_type_has_a_golden_line():
    missing = {
        f"{name}: {field.encode_name}"
        for name, cls in types().items()
        if name.partition(".")[0] != "tests"
        for field in msgspec.structs.fields(cls)
        if not any(field.encode_name in payload for kind, payload in PAYLOADS if kind == name)
    }
    assert not missing, f"add a line with tests/golden/append.py for: {', '.join(sorted(missing))}"


def test_every_type_of_the_toolkit_that_was_ever_written_is_still_registered():
    assert {name for name in TYPES if is_reserved(name, FORMAT)} <= set(types())


def test_golden_lines_show_a_commit_of_several_events_a_request_a_cause_and_a_type_of_the_agents():
    records = events()
    assert any(record.more for record in records)
    assert any(record.req for record in records)
    assert any(record.cause for record in records)
    assert any(decode(record) is None for record in records)


def test_decoding_and_encoding_gives_the_same_bytes():
    crc = 0
    for record, line in zip(events(), LINES, strict=True):
        again, crc = encode_line(record, crc)
        assert again == line


@pytest.mark.parametrize(
    "index", range(len(LINES)), ids=lambda index: f"{index + 1}-{TYPES[index]}"
)
def test_the_typed_payload_equals_the_line(index: int):
    record = events()[index]
    event = decode(record, FORMAT)
    if event is None:
        return
    again = encode_payload(event)
    assert decode(msgspec.structs.replace(record, payload=again, v=event.VERSION), FORMAT) == event
    if record.v == event.VERSION:
        assert msgspec.json.decode(again) == msgspec.json.decode(record.payload)


def test_the_whole_log_folds_to_what_it_always_did():
    state = State()
    state.fold(events())
    assert state.event == len(LINES)
    assert {name: stream.status for name, stream in state.workstreams.items()} == {
        "old": "closed",
        "build": "active",
        "web": "active",
    }
    assert state.workstreams["web"].prefix == "w"
    assert {task.id: task.status for task in state.tasks.values()} == {
        "299833bc": "done",
        "abc00001": "done",
        "abc00002": "in_progress",
        "0a0a0a0a": "in_review",
        "0a0a0a0a.1": "done",
        "f0f0f0f0": "done",
        "web-a3f8": "in_progress",
        "0e0e0e0e": "pending",
        "0f0f0f0f": "cancelled",
        "b0b0b0b0.survey.each": "pending",
        "dada0001": "done",
        "dada0002": "pending",
    }
    assert state.tasks["0e0e0e0e"].open_needs == 2
    assert state.tasks.failure_needed_by == {"web-a3f8": ["0e0e0e0e"], "abc00002": ["0e0e0e0e"]}
    assert (state.tasks["abc00001"].result, state.tasks["abc00001"].attempt) == ("Shipped!", 4)
    assert state.tasks.archived["abc00001.docs"].outcome == "cancelled"
    assert {name: n for name, n in state.tasks.counts["build"].items() if n} == {
        "done": 4,
        "cancelled": 2,
        "in_review": 1,
        "pending": 3,
    }
    adds = state.tasks["b0b0b0b0.survey.each"].for_each
    assert adds is not None
    assert (adds.step, adds.list, adds.formula) == ("b0b0b0b0.survey", "output.legs", "leg")
    assert (adds.variables, adds.sequential) == ({"name": "{item.name}"}, True)
    assert state.tasks["abc00002"].workstream == "old"
    assert state.tasks.deleted == {"0d0d0d0d": "twice"}
    assert {agent.id: agent.status for agent in state.agents.values()} == {
        "main": "active",
        "rig/crew/ann": "retired",
        "carla": "active",
        "mona": "active",
    }
    assert state.agents.aliases == {"carl": "carla"}
    assert state.agents.sessions["carla"].note == "The API works."
    assert state.convoys["release"].status == "cancelled"
    beta = state.goals["beta"]
    assert (beta.status, beta.first_due[:10], beta.due[:10]) == ("open", "2026-12-01", "2026-12-08")
    assert state.goals.goals_of == {"web-a3f8": ["beta"], "0e0e0e0e": ["beta"]}
    assert state.tasks["f0f0f0f0"].result == "feature version 2: done"
    assert {root: w.own_root for root, w in state.workflows.items()} == {
        "0a0a0a0a": False,
        "dada0001": True,
    }
    assert state.tasks["dada0001"].result == "feature: done"
    assert state.tasks["dada0001"].attempt == 2
    assert state.agents.hooks == {"ann": "abc00002", "mona": "web-a3f8"}
    assert state.agents.machines == {"mona": "mill", "ann": "mill"}
    assert state.tasks["web-a3f8"].machine == state.worktrees["web-a3f8"].machine == "mill"
    assert [(lock.resource, [h.agent for h in lock.holders]) for lock in state.locks.values()] == [
        ("db", ["bob"])
    ]
    assert {topic.name: topic.deleted for topic in state.knowledge.values()} == {
        "findings": False,
        "gone": True,
        "short": False,
    }
    assert state.cycles.cycle is not None
    assert state.cycles.cycle.number == 1
    plan = state.subscriptions["plan"]
    assert (plan.position, plan.session) == (147, "5f1c")
    (review,) = plan.attempts
    assert (review.task, review.status, review.due) == ("abc00002", "waiting", NEVER)
    assert plan.rest is None
    assert plan.usage.runs == {"2026-11-21T06:13": 5}
    assert plan.usage.tokens == {"2026-11-21T06:1": 2080}
    assert (state.subscriptions.finished_claims, state.subscriptions.dead_letters) == (
        {147: 163},
        {},
    )
    assert state.subscriptions.chains == {147: 5}
    phone = state.subscriptions["notify/phone"]
    (notice,) = phone.attempts
    assert (notice.first, notice.event, notice.number, notice.root) == (181, 182, 1, 0)
    assert phone.noticed == "2026-11-21T06:13:00.123Z"
    assert {s.number: (s.status, s.retries) for s in state.merges.values()} == {
        1: ("withdrawn", 1),
        2: ("rejected", 0),
        3: ("merged", 1),
        4: ("returned", 0),
        5: ("withdrawn", 0),
    }
    assert state.merges.submissions_of == {"web-a3f8": [1], "0f0f0f0f": [4]}
    assert state.merges.open() == []
    assert {request.id: request.status for request in state.permissions.values()} == {
        "7f3a0c1e": "denied",
        "0b1c2d3e": "expired",
    }
    assert list(state.requests) == ["req-1", "req-2"]


def test_an_event_of_a_task_gives_the_status_that_it_declares_or_leaves_it():
    state, declared = State(), set()
    for record in events():
        event = decode(record, FORMAT)
        before = dict(state.tasks.tasks)
        state.fold([record])
        if isinstance(event, TaskEvent):
            expected = event.STATUS or before[event.task].status
            assert state.tasks.tasks[event.task].status == expected, record.type
            declared.add(record.type)
    assert declared == {name for name, cls in types().items() if issubclass(cls, TaskEvent)}


def test_a_board_with_the_golden_log_can_be_opened_shown_and_worked_on(tmp_path: Path):
    folder = tmp_path / "board"
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "events.jsonl").write_bytes(GOLDEN.read_bytes())
    with Orchestrator(FileStore(folder, warn=pytest.fail)) as orc:
        assert "[P2] build - Build it" in orc.status().text()
        assert orc.tasks.add("build", title="next").status == "pending"
        assert orc.knowledge.read("findings") == "by hand\n"
        for number in range(1, len(LINES) + 1):
            assert orc.status(at=number).event == number
