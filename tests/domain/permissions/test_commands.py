"""Requests for permission: answered once, by people, in their time, whoever dies meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from boards import SettableClock

from orchestrator import BadInput, NotFound, Orchestrator, OrchestratorError, UsageError
from orchestrator.domain.permissions.commands import LARGEST, MOST_PENDING, shown_input
from orchestrator.domain.permissions.records import KEPT, TIME, PermissionRequest
from orchestrator.engine import cause_mark

PUSH = {"command": "git push", "description": "Push it"}


def asked(orc: Orchestrator, tool_input: Any = PUSH, *, agent: str = "plan") -> PermissionRequest:
    """A request whose asker does not wait: it is killed, or waits elsewhere."""
    return orc.permissions._request("Bash", tool_input, agent, TIME)


def refusal(call: Any, *args: Any, **more: Any) -> OrchestratorError:
    with pytest.raises(OrchestratorError) as caught:
        call(*args, **more)
    return caught.value


class Asking(threading.Thread):
    """An agent that waits for an answer."""

    def __init__(self, board: Path, agent: str = "plan", tool_input: Any = PUSH) -> None:
        super().__init__(daemon=True)
        self.board, self.agent, self.tool_input = board, agent, tool_input
        self.start()

    def run(self) -> None:
        with Orchestrator.open(self.board, agent=self.agent) as orc:
            self.answer = orc.permissions.ask("Bash", self.tool_input)

    def status(self) -> str:
        self.join(60)
        return self.answer.status


def pending(orc: Orchestrator) -> str:
    """The id of the request that comes."""
    for _ in orc.events.follow(type="permission.request", since=0):
        break
    return orc.permissions.pending()[-1].id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "board"


@pytest.fixture
def ann(folder: Path) -> Orchestrator:
    return Orchestrator.open(folder, agent="ann")


def test_an_agent_waits_until_a_person_allows_it(ann: Orchestrator, folder: Path):
    agent = Asking(folder)
    request = ann.permissions.get(pending(ann))
    assert (request.agent, request.tool, request.tool_input) == ("plan", "Bash", PUSH)
    assert ann.permissions.allow(request.id).answered_by == "ann"
    assert agent.status() == "allowed"
    assert ann.permissions.pending() == []


def test_a_denial_has_a_message(ann: Orchestrator, folder: Path):
    agent = Asking(folder)
    ann.permissions.deny(pending(ann), "Not on Friday.")
    assert agent.status() == "denied"
    assert agent.answer.message == "Not on Friday."


def test_the_events_are_those_of_busytown(orc: Orchestrator):
    request = asked(orc)
    orc.permissions.allow(request.id, agent="ann")
    records = {r.type: (r.agent, msgspec.json.decode(r.payload)) for r in orc.events.read()}
    assert records["permission.request"] == (
        "plan",
        {
            "request_id": request.id,
            "agent_id": "plan",
            "tool_name": "Bash",
            "tool_input": PUSH,
            "until": "2026-11-21T06:18:00.000Z",
        },
    )
    response = {"request_id": request.id, "behavior": "allow"}
    assert records["permission.response"] == ("ann", response)


def test_no_answer_in_five_minutes_is_a_denial(orc: Orchestrator, clock: SettableClock):
    request = asked(orc)
    clock.advance(TIME - 1)
    assert [r.id for r in orc.permissions.pending()] == [request.id]
    clock.advance(1)
    assert orc.permissions.pending() == []
    assert orc.permissions.get(request.id).status == "expired"
    assert refusal(orc.permissions.allow, request.id, agent="ann").code == "expired"
    assert orc.permissions._answer(request.id) is None
    assert orc.permissions._take(request.id, is_over=True).status == "expired"


def test_an_agent_that_waits_is_denied_when_its_time_is_over(ann: Orchestrator):
    assert ann.permissions.ask("Bash", PUSH, agent="plan", time=0.01).status == "expired"
    assert [r.type for r in ann.events.read()][-1] == "permission.expired"
    assert ann.permissions.ask("Bash", PUSH, agent="plan", time=0.01).status == "expired"
    assert len(ann.permissions.all()) == 2


def test_a_clock_that_goes_back_makes_no_wait_longer(orc: Orchestrator, clock: SettableClock):
    clock.advance(1000)
    request = orc.permissions._request("Bash", PUSH, "plan", 0.05)
    clock.advance(-1000)
    assert orc.permissions.ask("Bash", PUSH, agent="plan", time=0.05).id == request.id


def test_of_two_who_answer_one_wins_and_the_other_learns_who(ann: Orchestrator):
    request = asked(ann)
    ann.permissions.allow(request.id)
    late = refusal(ann.permissions.deny, request.id, agent="ben")
    assert (late.code, late.message) == (
        "answered",
        f"ann has answered request {request.id}: allowed",
    )
    assert refusal(ann.permissions.allow, request.id, agent="ann").code == "answered"


def test_of_many_who_answer_at_once_exactly_one_wins(folder: Path, ann: Orchestrator):
    request = asked(ann)
    barrier = threading.Barrier(8)

    def answer(number: int) -> str:
        with Orchestrator.open(folder, agent=f"person-{number}") as orc:
            barrier.wait()
            try:
                call = orc.permissions.allow if number % 2 else orc.permissions.deny
                return f"won by {call(request.id).answered_by}"
            except OrchestratorError as error:
                return str(error.details.get("answered_by", error.code))

    with ThreadPoolExecutor(8) as pool:
        outcomes = [*pool.map(answer, range(8))]
    (winner,) = [text for text in outcomes if text.startswith("won by ")]
    assert {text.removeprefix("won by ") for text in outcomes} == {winner.removeprefix("won by ")}
    assert len([r for r in ann.events.read() if r.type == "permission.response"]) == 1


def test_a_request_whose_asker_died_goes_on_when_it_is_asked_again(ann: Orchestrator, folder: Path):
    first = asked(ann)
    agent = Asking(folder)
    ann.permissions.allow(first.id)
    assert agent.status() == "allowed"
    assert agent.answer.id == first.id
    assert len(ann.permissions.all()) == 1
    assert len(ann.mail.inbox(agent="overseer")) == 1


def test_an_answer_that_came_between_two_waits_counts_once(ann: Orchestrator, folder: Path):
    first = asked(ann)
    ann.permissions.allow(first.id)
    again = Asking(folder)
    assert (again.status(), again.answer.id) == ("allowed", first.id)
    other = asked(ann)
    assert other.id != first.id
    assert other.status == "pending"


def test_two_processes_that_wait_for_one_answer_do_not_both_get_it(ann: Orchestrator):
    request = asked(ann)
    ann.permissions.allow(request.id)
    assert ann.permissions._take(request.id).status == "allowed"
    assert refusal(ann.permissions._take, request.id).code == "taken"


def test_an_answer_is_for_the_same_use_only(orc: Orchestrator, clock: SettableClock):
    first = asked(orc)
    orc.permissions.allow(first.id, agent="ann")
    others = [
        asked(orc, {**PUSH, "command": "git push -f"}),
        asked(orc, agent="code"),
        orc.permissions._request("Shell", PUSH, "plan", TIME),
    ]
    assert first.id not in {request.id for request in others}
    reordered = dict(reversed(PUSH.items()))
    assert asked(orc, reordered).id == first.id
    clock.advance(TIME)
    assert asked(orc).id != first.id


def test_an_answer_is_for_attempts_at_the_same_event(tmp_path: Path, monkeypatch: Any):
    orc = Orchestrator.open(tmp_path / "board")
    first, second = orc.events.push("a"), orc.events.push("b")
    ids = []
    for record in (first, second, first):
        monkeypatch.setenv("ORC_CAUSE", cause_mark(record))
        ids.append(asked(Orchestrator.open(tmp_path / "board")).id)
    assert ids[0] == ids[2] != ids[1]


def test_agents_that_events_start_do_not_answer(orc: Orchestrator):
    request = asked(orc)
    orc.subscriptions.open("code")
    for name in ("plan", "code"):
        assert refusal(orc.permissions.allow, request.id, agent=name).code == "not_yours"
    assert orc.permissions.get(request.id).status == "pending"


@pytest.mark.parametrize("mark", ["1/2026-11-21T06:13:00.000Z", "another board", "1"])
def test_no_answer_comes_from_the_environment_of_an_agent(
    ann: Orchestrator, folder: Path, mark: str, monkeypatch: pytest.MonkeyPatch
):
    request = asked(ann)
    monkeypatch.setenv("ORC_CAUSE", mark)
    with Orchestrator.open(folder, agent="ann") as orc:
        assert refusal(orc.permissions.allow, request.id).code == "not_yours"
        assert refusal(orc.permissions.deny, request.id, agent="ben").code == "not_yours"
    assert ann.permissions.get(request.id).status == "pending"


def test_people_get_mail_and_the_agent_does_not(orc: Orchestrator):
    orc.agents.register("ann", type="human")
    orc.agents.register("ben", type="person")
    orc.agents.register("code", type="claude")
    orc.agents.register("gone", type="human")
    orc.agents.retire("gone")
    request = asked(orc)
    (header,) = orc.mail.inbox(agent="overseer")
    assert header.to == ("overseer", "ann", "ben")
    assert (header.subject, header.priority) == ("plan asks for permission: Bash", "high")
    text = orc.mail.read(header.id, agent="ann").body
    assert text.startswith('{"command":"git push","description":"Push it"}\n')
    assert f"`permission allow {request.id}`" in text
    assert asked(orc, agent="ann").agent == "ann"
    assert len(orc.mail.inbox(agent="ann")) == 1


def test_a_system_cannot_ask(orc: Orchestrator):
    with pytest.raises(UsageError):
        orc.permissions.ask("Bash", PUSH)


@pytest.mark.parametrize(
    "tool_input",
    [
        {"command": "x" * LARGEST},
        {"n": float("nan")},
        {"n": 2**70},
        {"text": "\ud800"},
        {1: "x"},
    ],
)
def test_an_input_that_the_log_cannot_hold_is_refused(orc: Orchestrator, tool_input: Any):
    with pytest.raises(BadInput):
        orc.permissions.ask("Bash", tool_input, agent="plan")
    assert orc.permissions.all() == []


def test_an_agent_has_a_bounded_number_of_requests_that_wait(
    orc: Orchestrator, clock: SettableClock
):
    for number in range(MOST_PENDING):
        asked(orc, {"n": number})
    assert refusal(asked, orc, {"n": -1}).code == "too_many"
    assert asked(orc, {"n": 0}).status == "pending"
    assert asked(orc, {"n": -1}, agent="code").status == "pending"
    clock.advance(TIME)
    assert asked(orc, {"n": -1}).status == "pending"


def test_the_state_keeps_the_last_settled_requests_and_all_that_wait(orc: Orchestrator):
    waiting = asked(orc, {"n": -1})
    for number in range(KEPT + 20):
        orc.permissions.deny(asked(orc, {"n": number}).id, agent="ann")
        orc.permissions.ask("Bash", {"n": number}, agent="plan")
    assert len(orc.permissions.all()) == KEPT + 2
    assert [request.id for request in orc.permissions.pending()] == [waiting.id]
    with pytest.raises(NotFound):
        orc.permissions.get("00000000")


def test_events_of_this_name_are_an_agents_own_until_the_first_request(orc: Orchestrator):
    orc.events.log("ann", "permission.request", mine=True)
    orc.events.log("ann", "permission.response", request_id="x")
    request = asked(orc)
    assert [r.id for r in orc.permissions.all()] == [request.id]
    assert refusal(orc.events.log, "plan", "permission.response").code == "bad_name"


def test_what_an_agent_gives_is_shown_on_one_line_without_control_characters():
    text = shown_input({"command": "a\n\x1b[2J\u202e\u200b\x9b日本"})
    assert text == '{"command":"a\\n\\u001b[2J\\u202e\\u200b\\u009b日本"}'


def test_a_long_text_hides_no_short_one_and_what_is_left_out_is_counted():
    shown = shown_input({"description": "x" * 5000, "command": "rm -rf /"}, 100)
    assert shown.startswith('{"command":"rm -rf /","description":"xxx')
    assert shown.endswith("… (4,939 more characters)")
    assert len(shown) < 140
