"""Requests: a command repeated with the same request id has a single effect and returns the first result."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from boards import SettableClock, changes_nothing, code_of

from orchestrator import Orchestrator, Refused, UsageError
from orchestrator.core import events
from orchestrator.domain.idempotency import REMEMBERED, Request, digest, remember
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep

pytestmark = pytest.mark.usefixtures("build")

Command = Callable[[Orchestrator], Any]


def again(orc: Orchestrator) -> Orchestrator:
    """Another process that opens the same board."""
    return Orchestrator(orc.engine.store, now=orc.engine._clock)


def first_task(orc: Orchestrator) -> str:
    return orc.tasks.all()[0].id


COMMANDS: dict[str, Command] = {
    "workstreams.create": lambda orc: orc.workstreams.create("new", agent="ann"),
    "workstreams.edit": lambda orc: orc.workstreams.edit("build", priority=1),
    "workstreams.close": lambda orc: orc.workstreams.close("build"),
    "tasks.add": lambda orc: orc.tasks.add("build", title="again"),
    "tasks.edit": lambda orc: orc.tasks.edit(first_task(orc), title="New"),
    "tasks.next": lambda orc: orc.tasks.next(agent="ann"),
    "tasks.claim": lambda orc: orc.tasks.claim(first_task(orc), agent="ann"),
    "tasks.note": lambda orc: orc.tasks.note(first_task(orc), "hello"),
    "tasks.block": lambda orc: orc.tasks.block(first_task(orc), reason="rain"),
    "tasks.cancel": lambda orc: orc.tasks.cancel(first_task(orc)),
    "agents.register": lambda orc: orc.agents.register("ann", capabilities=["x"]),
    "locks.acquire": lambda orc: orc.locks.acquire("git", agent="ann"),
    "knowledge.write": lambda orc: orc.knowledge.write("findings", "text", agent="ann"),
    "knowledge.append": lambda orc: orc.knowledge.append("findings", "text", agent="ann"),
    "events.log": lambda orc: orc.events.log("ann", "deployed", version=2),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_repeated_request_has_one_effect_and_gives_the_first_result(
    orc: Orchestrator, clock: SettableClock, name: str
):
    orc.tasks.add("build", title="one")
    orc.tasks.add("build", title="two")
    with orc.request("r-1"):
        first = COMMANDS[name](orc)
    clock.advance(1000)
    orc.workstreams.create("meanwhile")
    orc.tasks.add("meanwhile", title="meanwhile")
    with changes_nothing(orc):
        for board in (orc, again(orc)):
            with board.request("r-1"):
                assert _comparable(COMMANDS[name](board)) == _comparable(first)


def _comparable(result: Any) -> Any:
    return (result.id, bytes(result.payload)) if isinstance(result, events.Recorded) else result


def test_the_same_id_with_other_arguments_or_another_command_is_refused(orc: Orchestrator):
    with orc.request("r-1"):
        orc.tasks.add("build", title="one")
    for call in (
        lambda: orc.tasks.add("build", title="two"),
        lambda: orc.tasks.add("build", title="one", priority=1),
        lambda: orc.workstreams.create("one"),
    ):
        with changes_nothing(orc), orc.request("r-1"), pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "request_conflict"


class Part(msgspec.Struct):
    name: str
    labels: tuple[str, ...] = ()


class RenamedPart(msgspec.Struct, kw_only=True):
    labels: tuple[str, ...] = ()
    note: dict[str, str] = {}
    name: str


def test_a_record_that_is_renamed_or_has_a_new_field_is_the_same_argument():
    assert digest(((Part("a"),), ())) == digest(((RenamedPart(name="a"),), ()))
    assert digest(((Part("a"),), ())) != digest(((Part("b"),), ()))
    assert digest(((Part("a"),), ())) != digest(((RenamedPart(name="a", note={"x": "y"}),), ()))


def test_a_request_with_records_that_an_earlier_version_answered_is_known(orc: Orchestrator):
    """Its digest contains old names of classes, so it cannot be compared."""
    compiled = CompiledFormula(formula="small", steps=(CompiledStep(id="a", title="A"),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.domain.idempotency.digest", lambda _: "99d985e6")
        with orc.request("r-1"):
            first = orc.workflows.pour(compiled)
    with changes_nothing(orc), orc.request("r-1"):
        assert orc.workflows.pour(compiled) == first
    with orc.request("r-2"):
        orc.workflows.pour(compiled)
    with changes_nothing(orc), orc.request("r-2"), pytest.raises(Refused):
        orc.workflows.pour(msgspec.structs.replace(compiled, formula="other"))


def test_a_finished_session_is_shown_again_after_its_agent_was_renamed(orc: Orchestrator):
    task = orc.tasks.add("build", title="one").id
    orc.hooks.hang(task, agent="ann")
    with orc.request("r-1"):
        first = orc.sessions.done(agent="ann")
    orc.agents.rename("ann", "bea")
    with orc.request("r-1"):
        assert orc.sessions.done(agent="ann") == first


def test_a_refused_command_answers_no_request(orc: Orchestrator):
    with changes_nothing(orc), orc.request("r-1"):
        assert code_of(lambda: orc.workstreams.create("build", priority=9)) == "workstream_exists"
    with orc.request("r-1"):
        assert orc.workstreams.create("other").name == "other"


def test_a_request_is_answered_by_one_command_and_not_by_the_next_one(orc: Orchestrator):
    with orc.request("r-1"):
        first = orc.tasks.add("build", title="one")
        second = orc.tasks.add("build", title="one")
    assert first.id != second.id
    mine = Orchestrator(orc.engine.store, request_id="r-2", now=orc.engine._clock)
    mine.tasks.add("build", title="three")
    mine.tasks.add("build", title="four")
    assert [task.title for task in orc.tasks.all()] == ["one", "one", "three", "four"]
    assert list(orc.engine.read().requests) == ["r-1", "r-2"]


def test_a_program_that_is_run_again_from_its_start_has_one_effect(orc: Orchestrator):
    """Its first command is answered from the log; later commands are not mistaken for it."""
    for _ in range(2):
        mine = Orchestrator(orc.engine.store, request_id="r-1", now=orc.engine._clock)
        mine.tasks.add("build", title="one")
        mine.events.log("ann", "ran")
    assert [task.title for task in orc.tasks.all()] == ["one"]
    assert len(orc.events.read(type="ran")) == 2


def test_a_request_belongs_to_the_thread_that_made_it(orc: Orchestrator):
    """Threads share a board; a command of another thread must not use the id of this thread."""
    with orc.request("r-1"):
        other = threading.Thread(target=lambda: orc.events.log("bob", "other"))
        other.start()
        other.join(60)
        orc.tasks.add("build", title="mine")
    assert orc.engine.read().requests["r-1"].command == "tasks.add"


def test_next_without_a_task_answers_nothing_so_that_trying_again_can_find_one(
    orc: Orchestrator, clock: SettableClock
):
    held = orc.tasks.add("build", title="held").id
    orc.tasks.claim(held, agent="ann", lease=100)
    clock.advance(60)
    with orc.request("r-1"):
        assert orc.tasks.next(agent="ann") is None  # and the lease is renewed
    task = orc.tasks.add("build", title="new").id
    with orc.request("r-1"):
        claimed = orc.tasks.next(agent="ann")
    assert claimed is not None
    assert claimed.id == task


def test_the_last_event_of_the_commit_bears_the_request(orc: Orchestrator):
    orc.agents.register("ann")
    orc.locks.acquire("git", agent="ann")
    with orc.request("r-1"):
        orc.agents.retire("ann")
    last = orc.events.read(last=2)
    assert [record.req and record.req.id for record in last] == [None, "r-1"]
    assert last[1].req is not None
    assert (last[1].req.command, last[1].req.first) == ("agents.retire", last[0].id)


@pytest.mark.parametrize("request_id", ["", "x" * 201, "a\nb", "é", "\x7f", "\0"])
def test_a_request_id_is_printable_ascii(orc: Orchestrator, request_id: str):
    with pytest.raises(UsageError), orc.request(request_id):
        pass


def test_an_empty_request_id_is_none(orc: Orchestrator):
    Orchestrator(orc.engine.store, request_id="").tasks.add("build", title="x")
    assert orc.engine.read().requests == {}


def test_a_request_belongs_to_one_command_not_to_a_transaction(orc: Orchestrator):
    with (
        changes_nothing(orc),
        orc.request("r-1"),
        pytest.raises(UsageError),
        orc.transaction(),
    ):
        orc.tasks.add("build", title="x")


def test_the_last_10_000_requests_are_remembered_oldest_forgotten_first():
    """A thousand are forgotten together, so that the oldest need not be looked for each time."""
    kept: dict[str, Request] = {}
    sizes = set()
    for number in range(REMEMBERED + 2500):
        remember(kept, events.RequestMark(str(number), "tasks.add", "00", number), number)
        sizes.add(len(kept))
    assert REMEMBERED == 10_000
    assert max(sizes) == REMEMBERED + 999
    assert [*kept] == [str(number) for number in range(2000, REMEMBERED + 2500)]


def test_the_digest_differs_by_arguments_and_takes_any_text():
    assert digest((("a",), ())) == digest((("a",), ()))
    assert digest((("a",), ())) != digest((("b",), ()))
    assert len(digest("\ud800")) == 8


def test_a_repeated_write_of_a_text_that_a_person_put_into_the_file_gives_the_same_topic(
    orc: Orchestrator,
):
    orc.engine.documents.write("knowledge/findings.md", b"found\n")
    with orc.request("r-1"):
        first = orc.knowledge.write("findings", "found\n")
    assert first == orc.knowledge.all()[0]
    with changes_nothing(orc), orc.request("r-1"):
        assert orc.knowledge.write("findings", "found\n") == first


def test_a_repeated_sling_of_a_workflow_that_the_task_already_has_gives_the_first_result(
    orc: Orchestrator,
):
    cooked = CompiledFormula(formula="f", steps=(CompiledStep(id="a", title="A"),))
    task = orc.tasks.add("build", title="one").id
    orc.workflows.pour(cooked, on=task)
    with orc.request("r-1"):
        first = orc.workflows.sling(cooked, "ann", on=task)
    assert first.root.assigned_to == "ann"
    with changes_nothing(orc), orc.request("r-1"):
        assert orc.workflows.sling(cooked, "ann", on=task) == first
