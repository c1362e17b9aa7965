"""Part 12: boards in a PostgreSQL database, while server, connections, disk and replicas fail.

Workers of the soak write to one board, and repeat a request whose outcome they do not know until it is
answered. At the end the board is copied to files with ``orc copy``, and judged by the rules for files.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from orchestrator import Orchestrator, snapshot
from orchestrator.core.errors import (
    InputOutputError,
    OrchestratorError,
    OutcomeUnknown,
    TimedOut,
)
from orchestrator.core.store import START
from orchestrator.maintenance.copying import copy_board
from tests.postgres_server import Server, is_here, running

from . import harness
from .part import Part, fast_folder, run
from .soak import MIX, STREAMS, Soak, Worker, judge

UNANSWERED = ("io_error", "outcome_unknown", "exit 74", "exit 75")
"""With these a worker repeats its request."""

PAUSE = 0.05
"""Seconds between two tries to reach a server that is down."""


class DatabaseWorker(Worker):
    """A worker whose board is sometimes out of reach."""

    mix = (*MIX, ("pair", 20))  # a pair has no request, so what its error says is checked

    def __init__(self, board: str, *words: Any) -> None:
        while True:
            with contextlib.suppress(InputOutputError):
                super().__init__(board, *words)
                return
            time.sleep(PAUSE)

    def head(self) -> int:
        while True:
            with contextlib.suppress(InputOutputError):
                return super().head()
            time.sleep(PAUSE)

    def by_api(self, words: list[str], request: str) -> tuple[int | str, Any]:
        return self._answered(super().by_api, words, request)

    def by_cli(self, words: list[str], request: str) -> tuple[int | str, Any]:
        return self._answered(super().by_cli, words, request)

    def by_process(self, words: list[str], request: str) -> tuple[int | str, Any]:
        return self._answered(super().by_process, words, request)

    @staticmethod
    def _answered(
        way: Callable[[list[str], str], tuple[int | str, Any]], words: list[str], request: str
    ) -> tuple[int | str, Any]:
        while True:
            status, value = way(words, request)
            if not (isinstance(status, str) and status.startswith(UNANSWERED)):
                return status, value
            time.sleep(PAUSE)

    def delete_snapshot(self) -> None:
        with contextlib.suppress(psycopg.Error), psycopg.connect(_database(self.board)) as admin:
            admin.execute("DELETE FROM orchestrator.snapshots")

    def pair(self) -> None:
        """As on files; if the outcome is unknown, nothing is promised."""
        self.count += 1
        name = f"{self.life}-{self.count}"
        try:
            with self.orc.transaction():
                for half in (1, 2):
                    self.orc.events.log(self.agent, "pair", name=name, half=half)
        except OutcomeUnknown:
            time.sleep(PAUSE)
        except OrchestratorError as error:
            self.write({"pair": name, "error": error.code})
            time.sleep(PAUSE)
        else:
            self.write({"pair": name}, sync=True)


class DatabaseSoak(Soak):
    """The soak on a board in a database; ``harm`` is called again and again meanwhile."""

    worker = DatabaseWorker

    def __init__(self, part: Part, board: str, harm: Callable[[float], None]) -> None:
        super().__init__(fast_folder(), 6 if part.quick else 16, part.seed)
        self.board = board
        self._harm = harm

    def interfere(self, passed: float) -> None:
        self._harm(passed)


def _database(board: str) -> str:
    return board.partition("?")[0]


def soak(part: Part, board: str, harm: Callable[[float], None], seconds: float) -> None:
    """Let workers live under harm, copy the board to files, and judge these and the journals."""
    trial = DatabaseSoak(part, board, harm)
    trial.prepare()
    try:
        trial.work(seconds, kills_a_second=1.0 if part.quick else 4.0)
    finally:
        for pid in trial.living:
            os.killpg(pid, signal.SIGKILL)
    trial.board = f"{trial.folder}/copied"
    copy(board, trial.board)
    before = len(part.violations)
    judge(part, trial)
    if len(part.violations) == before:
        shutil.rmtree(trial.folder)


def copy(source: str, target: str) -> None:
    """Copy a board, as ``orc copy`` does."""
    with Orchestrator.open(source) as old, Orchestrator.open(target) as new:
        copy_board(old.engine, new.engine)


# Server and connections


class Harm:
    """Kills the server and connections, and peers that keep transactions open."""

    def __init__(self, part: Part, server: Server) -> None:
        self._part = part
        self._server = server
        self._chance = random.Random(part.seed)
        self._next = 0.0
        self._peers: list[psycopg.Connection[Any]] = []

    def __call__(self, _passed: float) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.2
        for peer in self._peers:
            peer.close()
        self._peers.clear()
        kinds = (self.cut, self.idle, self.lock_row, self.kill)
        kind = self._chance.choices(kinds, (20, 5, 5, 2))[0]
        kind()
        self._part.count(f"database: {kind.__name__.replace('_', ' ')}")

    def cut(self) -> None:
        """End connections, wherever their statements are."""
        with psycopg.connect(self._server.url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                " ORDER BY random() LIMIT 2) AS chosen"
            )

    def idle(self) -> None:
        """Be idle in a transaction that has read all tables."""
        peer = psycopg.connect(self._server.url)
        peer.execute("SELECT count(*) FROM orchestrator.events, orchestrator.boards")
        self._peers.append(peer)

    def lock_row(self) -> None:
        """Be idle in a transaction that has changed the row of the board."""
        self.idle()
        self._peers[-1].execute(
            "SET lock_timeout = 1000; UPDATE orchestrator.boards SET head = head"
        )

    def kill(self) -> None:
        """Kill all processes of the server, and start it again."""
        self._server.kill()
        time.sleep(self._chance.choice((0.0, 0.5)))
        self._server.start()


def broken_connections(part: Part) -> None:
    """Workers are killed, connections are cut, and the server dies, all at random."""
    with running() as server:
        soak(part, server.new_board(), Harm(part, server), 12 if part.quick else 300)


# A full disk


def full_tablespace(part: Part) -> None:
    """The disk of the events fills up: commands say that nothing has changed, and work again afterwards."""
    with (
        small_disk() as disk,
        running() as server,
        psycopg.connect(server.url, autocommit=True) as admin,
    ):
        shutil.chown(disk, server.user)
        url = server.new_board()
        with Orchestrator.open(url) as orc:
            orc.workstreams.create("build")
            admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            admin.execute("ALTER TABLE orchestrator.events SET TABLESPACE small")
            admin.execute("ALTER INDEX orchestrator.events_pkey SET TABLESPACE small")
            for _ in range(3 if part.quick else 30):
                _fill(part, orc, Path(disk, "ballast"))
        folder = fast_folder()
        copy(url, f"{folder}/copied")
    contents = harness.read_contents(f"{folder}/copied")
    for violation in harness.all_hold(f"{folder}/copied", contents):
        part.violated(violation)
    shutil.rmtree(folder)


def _fill(part: Part, orc: Orchestrator, ballast: Path) -> None:
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 14))
            file.flush()
    head, failed = orc.engine.read().event, 0
    for number in range(200):
        try:
            orc.tasks.add("build", title=f"task {number}", description="x" * 4000)
            head += 1
        except InputOutputError as error:
            failed += 1
            if "No space left" not in error.message:
                part.violated(f"a full disk is reported as {error.message!r}")
        if failed == 3:
            break
    if not failed:
        part.violated("the disk was never full")
    if (found := orc.engine.read().event) != head:
        part.violated(f"a full disk: the log has {found} events, {head} were acknowledged")
    ballast.unlink()
    orc.tasks.add("build", title="there is space again")
    part.count("database: full disks")


@contextlib.contextmanager
def small_disk() -> Iterator[str]:
    """A folder with a disk of its own, of 8 MiB."""
    folder = tempfile.mkdtemp(prefix="orc-stress-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
        os.rmdir(folder)


# Replicas


@contextlib.contextmanager
def replicated(*, synchronous: bool) -> Iterator[tuple[Server, Server, str]]:
    """A server, its replica, and the URL of a board on whichever of them takes changes."""
    with running() as first, running(copy_of=first) as second:
        with psycopg.connect(first.url, autocommit=True) as admin:
            if synchronous:
                admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                admin.execute("SELECT pg_reload_conf()")
            while not admin.execute(
                "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = %s",
                ("sync" if synchronous else "async",),
            ).fetchone():
                time.sleep(PAUSE)
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        url = f"postgresql://orc@{hosts}/postgres?target_session_attrs=read-write&board=replicated"
        yield first, second, url


def promote(server: Server) -> None:
    """Let a replica take changes from now on."""
    while True:  # it may start again, because its receiver was killed
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(server.url, autocommit=True) as admin,
        ):
            admin.execute("SELECT pg_promote()")
            return
        time.sleep(PAUSE)


def promoted_synchronous(part: Part) -> None:
    """The server dies in the middle of commits and its synchronous replica goes on: nothing is lost."""
    with replicated(synchronous=True) as (first, second, url):
        done = False

        def fail_over(passed: float) -> None:
            nonlocal done
            if passed > 0.5 and not done:
                done = True
                first.kill()
                promote(second)
                part.count("database: synchronous replicas promoted")

        soak(part, url, fail_over, 6 if part.quick else 60)


def unconfirmed(part: Part) -> None:
    """A commit that the synchronous replica has not confirmed is not acknowledged, whatever breaks."""
    with replicated(synchronous=True) as (first, second, url), Orchestrator.open(url) as orc:
        orc.workstreams.create("build")
        orc.engine.store._connection.patience = 3  # type: ignore[attr-defined]
        (receiver,) = second.processes("walreceiver")
        receiver.suspend()
        pid = os.fork()
        if pid == 0:
            time.sleep(1)
            with psycopg.connect(first.url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                )
            os._exit(0)
        try:
            orc.tasks.add("build", title="not on the replica")
        except (OutcomeUnknown, InputOutputError, TimedOut) as error:
            part.count(f"database: unconfirmed commits that end with {error.code}")
            if not isinstance(error, OutcomeUnknown):
                part.violated(f"a commit that may be lost or not ends with {error.code}")
        else:
            part.violated("a commit was acknowledged that only the failing server has")
        os.waitpid(pid, 0)
        first.kill()
        receiver.kill()
        promote(second)
        with Orchestrator.open(url) as again:
            if [task.title for task in again.tasks.all()]:
                part.violated("the replica has what it had not received")
            again.tasks.add("build", title="goes on")


def promoted_asynchronous(part: Part) -> None:
    """An asynchronous replica may lack the last commits: programs that know them say so and go on."""
    warnings: list[str] = []
    with replicated(synchronous=False) as (first, second, url):
        with Orchestrator.open(url, warn=warnings.append) as orc:
            orc.workstreams.create("build")
            with psycopg.connect(first.url, autocommit=True) as admin:
                while not admin.execute(
                    "SELECT 1 FROM pg_stat_replication WHERE flush_lsn = pg_current_wal_lsn()"
                ).fetchone():
                    time.sleep(PAUSE)
            (receiver,) = second.processes("walreceiver")
            receiver.suspend()
            for number in range(5):
                orc.tasks.add("build", title=f"only on the first {number}")
            first.kill()
            receiver.kill()
            promote(second)
            orc.tasks.add("build", title="on the second")
            titles = [task.title for task in orc.tasks.all()]
        if titles != ["on the second"]:
            part.violated(f"after an asynchronous failover the tasks are {titles}")
        if not any("does not hold event" in sentence for sentence in warnings):
            part.violated(f"nobody was told of the lost commits: {warnings}")
        part.count("database: asynchronous replicas promoted")


# Copies


def copied(part: Part) -> None:
    """Many commands on files, copied to a database and back: the same bytes, and the same state."""
    folder = fast_folder()
    first, last = f"{folder}/first", f"{folder}/last"
    worked(part, first, f"{folder}/journal", 500 if part.quick else 100_000)
    with running() as server:
        url = server.new_board()
        copy(first, url)
        copy(url, last)
        states = {refolded(board) for board in (first, url, last)}
    if len(states) != 1:
        part.violated("the copies have other states")
    if harness.log(first) != harness.log(last):
        part.violated("the log that came back has other bytes")
    if harness.files(first, "knowledge") != harness.files(last, "knowledge"):
        part.violated("the topics that came back have other bytes")
    part.figures["events copied"] = len(harness.read_contents(last).events)
    shutil.rmtree(folder)


def worked(part: Part, board: str, journal: str, commands: int) -> None:
    """Run random commands on a new board of files."""
    with Orchestrator.open(board) as orc:
        for stream in STREAMS:
            orc.workstreams.create(stream)
    worker = Worker(board, journal, 1, 1, part.seed)
    names, weights = zip(
        *(row for row in MIX if row[0] not in ("pair", "delete-snapshot")), strict=True
    )
    for number in range(commands):
        worker.count += 1
        words = worker.words(part.random.choices(names, weights)[0])
        if words is None:
            words = ["events", "log", "said", "text=nothing to do"]
        status, value = worker.by_api([*words, "--agent", "w1"], f"r-{number}")
        if status == 0 and words[1] == "next" and value:
            worker.held.append((value["id"], value["token"]))
        if isinstance(status, str):
            part.violated(f"{words} ends with {status}")
    worker.orc.close()
    part.count("database: commands copied there and back", commands)


def refolded(board: str) -> bytes:
    """The state of a board, folded from its log."""
    with Orchestrator.open(board) as orc:
        orc.engine.refold()
        return snapshot.encode(orc.engine.read(), START)


SCENES = (
    broken_connections,
    full_tablespace,
    promoted_synchronous,
    unconfirmed,
    promoted_asynchronous,
    copied,
)


def main(part: Part) -> None:
    """Run every scene."""
    if not is_here():
        part.skip("database", "no PostgreSQL server is installed here")
        return
    for scene in SCENES:
        if scene is full_tablespace and (os.getuid() != 0 or not shutil.which("mount")):
            part.skip("a full tablespace", "mounting a small disk needs root")
            continue
        begun = time.monotonic()
        scene(part)
        part.figures[f"seconds of {scene.__name__.replace('_', ' ')}"] = round(
            time.monotonic() - begun
        )


if __name__ == "__main__":
    run("database", main)
