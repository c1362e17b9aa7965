"""The stream of the log: it begins and goes on after any event, and no event is lost or doubled."""

import threading
from itertools import islice
from pathlib import Path

import anyio
import pytest
from starlette.types import Message

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.interfaces.web import stream

from .process import Follower, ServerProcess, serving


def add(board: Path, *titles: str) -> None:
    """Add tasks in another process than the server's: it shares only the log."""
    with Orchestrator.open(board) as orc:
        for title in titles:
            orc.tasks.add("build", title=title)


def titles(follower: Follower, number: int) -> list[str]:
    return [event["payload"]["title"] for event in islice(follower.events(), number)]


def test_it_begins_now_after_an_event_or_at_the_beginning(place: Path, home: Path):
    add(place, "a", "b")
    with serving(place, home, "--port", "0") as server:
        now = Follower(server)
        later = Follower(server, "?since=2")
        resumed = Follower(server, Last_Event_ID="1")
        add(place, "c")
        assert titles(now, 1) == ["c"]
        assert titles(later, 2) == ["b", "c"]
        assert titles(resumed, 3) == ["a", "b", "c"]


def test_a_client_may_want_only_some_events(place: Path, home: Path):
    with serving(place, home, "--port", "0") as server:
        tasks = Follower(server, "?since=0&type=task.*")
        streams = Follower(server, "?since=0&type=workstream.created")
        mine = Follower(server, "?since=0&agent=kim")
        add(place, "a")
        assert server.request("POST", "/api/workstreams", {"name": "ops"})[0] == 201
        assert next(tasks.events())["payload"]["title"] == "a"
        assert [event["id"] for event in islice(streams.events(), 2)] == [1, 3]
        assert next(mine.events())["id"] == 3


@pytest.mark.parametrize("after", ["x", "-1", "9" * 30, "999"])
def test_after_what_is_no_event_there_is_no_stream(place: Path, home: Path, after: str):
    with serving(place, home, "--port", "0") as server:
        reply = Follower(server, Last_Event_ID=after).reply
        assert reply.status == (409 if after == "999" else 400)


def test_a_client_far_behind_gets_all_of_a_long_log(place: Path, home: Path):
    with Orchestrator.open(place) as orc, orc.transaction():
        for number in range(3000):
            orc.tasks.add("build", title=str(number))
    with serving(place, home, "--port", "0") as server:
        assert titles(Follower(server, "?since=1"), 3000) == [str(n) for n in range(3000)]


class Collecting:
    """A client that goes on as a browser does: after each end it asks for what follows."""

    def __init__(self, goal: int) -> None:
        self.ids: list[int] = []
        self.goal = goal

    def read(self, server: ServerProcess) -> None:
        if len(self.ids) >= self.goal:
            return
        last = self.ids[-1] if self.ids else 0
        for event in Follower(server, Last_Event_ID=str(last)).events():
            self.ids.append(event["id"])
            if len(self.ids) >= self.goal:
                return


def test_killed_and_started_again_it_loses_and_doubles_no_event(place: Path, home: Path):
    """Followers read while another process writes; the server is killed four times meanwhile."""
    clients = [Collecting(goal=201) for _ in range(5)]
    writer = threading.Thread(target=add, args=(place, *map(str, range(200))))
    writer.start()
    port, token = "0", ""
    for kill in (30, 60, 100, 150, None):
        with serving(place, home, "--port", port) as server:
            assert token in ("", server.token)  # open pages go on with the cookie that they have
            port, token = str(server.port), server.token
            readers = [threading.Thread(target=each.read, args=(server,)) for each in clients]
            for reader in readers:
                reader.start()
            if kill is not None:
                follower = Follower(server, "?since=0")
                for event in follower.events():
                    if event["id"] >= kill:
                        break
                server.process.kill()
            for reader in readers:
                reader.join()
    writer.join()
    assert [each.ids for each in clients] == [[*range(1, 202)]] * 5


def test_a_client_that_does_not_read_keeps_no_other_one_waiting(place: Path, home: Path):
    with serving(place, home, "--port", "0") as server:
        lazy = [Follower(server, "?since=0") for _ in range(3)]
        with Orchestrator.open(place) as orc:
            for _ in range(30):
                orc.tasks.add("build", title="T", description="x" * 100_000)
        good = Follower(server, "?since=0")
        assert [event["id"] for event in islice(good.events(), 31)] == [*range(1, 32)]
        assert server.request("GET", "/api/workstreams")[0] == 200
        for each in lazy:
            each.close()


def test_a_client_that_takes_nothing_is_disconnected(place: Path, monkeypatch: pytest.MonkeyPatch):
    """Its connection never takes the first events, and never ends by itself."""
    monkeypatch.setattr(stream, "SLOW", 0.05)
    begun: list[str] = []

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        begun.append(message["type"])
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    async def follow(orc: Orchestrator) -> int:
        log = stream.LiveLog(AsyncOrchestrator(orc))
        with anyio.fail_after(60):
            await stream.EventStream(log, 0, stream.WantedEvents())({}, receive, send)
        return log.clients

    with Orchestrator.open(place) as orc:
        assert anyio.run(follow, orc) == 0
    assert begun == ["http.response.start", "http.response.body"]


def test_more_clients_than_it_can_serve_are_refused(place: Path, home: Path):
    from orchestrator.interfaces.web.stream import MOST

    with serving(place, home, "--port", "0") as server:
        followers = [Follower(server) for _ in range(MOST)]
        refused = Follower(server).reply
        assert (refused.status, refused.getheader("Retry-After")) == (503, "10")
        assert server.request("GET", "/api/workstreams")[0] == 200
        for each in followers:
            each.close()
