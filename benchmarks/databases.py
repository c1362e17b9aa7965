"""A board in a PostgreSQL database, on a private server that syncs to the same disk as the other boards."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event
from statistics import median, quantiles
from time import monotonic, sleep

import psycopg

from benchmarks.boards import Boards
from benchmarks.measure import Figure, interleave, lap, ms, ratio
from benchmarks.mutations import MUTATIONS, VERBS, Worker
from benchmarks.racing import RACERS, TASKS, Race, race
from orchestrator import Orchestrator
from orchestrator.maintenance.copying import copy_board
from orchestrator.stores.postgres import sole_writer
from tests.postgres_server import Server, is_here, running

PROCESSES, THREADS = 4, 50
"""How many processes act together, and how many connections wait in each."""

_CONNECTIONS = "max_connections=600"

_LINE = 400
"""About the bytes of the events of a command."""

_SETTLED = 1.0
"""Seconds until all threads that have begun to follow a log wait for it."""


def server(boards: Boards) -> AbstractContextManager[Server]:
    """A server with its data beside the boards of the run."""
    if not is_here():
        raise RuntimeError("no PostgreSQL server is installed here")
    # Not in the folder of the run, which the user of the server cannot read.
    return running(_CONNECTIONS, folder=os.path.dirname(boards.folder))


def filled(boards: Boards, database: Server, tasks: int) -> str:
    """The URL of a new board with a number of pending tasks and an exact snapshot."""
    url = database.new_board()
    with Orchestrator.open(boards.tasks(tasks)) as source, Orchestrator.open(url) as target:
        copy_board(source.engine, target.engine)
        target.engine.save()
    return url


class Bare:
    """One ``INSERT`` in a transaction for each mutation of a command."""

    def __init__(self, database: Server) -> None:
        self._connection = psycopg.connect(database.url, autocommit=True, prepare_threshold=2)
        self._connection.execute("CREATE TABLE IF NOT EXISTS public.bare (id bigserial, line text)")

    def run(self, verb: str) -> None:
        for _ in range(MUTATIONS[verb]):
            with self._connection.transaction():
                self.insert()

    def insert(self) -> None:
        self._connection.execute("INSERT INTO public.bare (line) VALUES (%s)", ("x" * _LINE,))

    def close(self) -> None:
        self._connection.close()


def mutating(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Commands, transactions with an ``INSERT``, and single ``INSERT`` statements in turns."""
    rounds, groups = (30, 3) if quick else (60, 8)
    with server(boards) as database:
        floor = Bare(database)
        ours: dict[str, list[float]] = {verb: [] for verb in VERBS}
        bare: dict[str, list[float]] = {verb: [] for verb in VERBS}
        single: list[float] = []
        for _ in range(groups):
            worker = Worker(filled(boards, database, 100))
            for verb in VERBS:
                worker.verbs[verb]()
            worker.tidy()
            laps: dict[str, list[float]] = {verb: [] for verb in VERBS}
            least: dict[str, list[float]] = {verb: [] for verb in VERBS}
            for _ in range(rounds):
                for verb in VERBS:
                    laps[verb].append(lap(worker.verbs[verb]))
                    least[verb].append(lap(partial(floor.run, verb)))
                single.append(lap(floor.insert))
                worker.tidy()
            for verb in VERBS:
                ours[verb].append(median(laps[verb]))
                bare[verb].append(median(least[verb]))
            worker.orc.close()
        floor.close()
    for verb in VERBS:
        yield Figure(
            name="database",
            what=f"PostgreSQL, {verb}: rate against a bare INSERT in a transaction",
            measured=ratio(bare[verb], ours[verb]),
            bound=0.5,
            at_least=True,
            detail=f"{ms(ours[verb])} against {ms(bare[verb])}; one INSERT alone {ms(single)}",
        )


def racing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Eight processes that take tasks from one board, against one, with and without the lock."""
    seconds = 1.5 if quick else 3.0

    def run(database: Server, processes: int, *prepare: Callable[[], None]) -> Race:
        return race(filled(boards, database, TASKS), processes, seconds, *prepare)

    with server(boards) as database:
        locked, alone, together = interleave(
            2 if quick else 5,
            partial(run, database, 1, _always_lock),
            partial(run, database, 1),
            partial(run, database, RACERS),
        )
    rates = [one.rate for one in together]
    waits = (
        f"evenness {median(one.evenness for one in together):.2f},"
        f" longest wait {1000 * max(one.longest for one in together):.0f} ms"
    )
    for some, who, bound in (
        (locked, "one that takes the lock as they do", 0.8),
        (alone, "one that leaves it out", None),
    ):
        yield Figure(
            name="database-race",
            what=f"PostgreSQL, {RACERS} processes racing `next`: their total against {who}",
            measured=ratio(rates, (one.rate for one in some)),
            bound=bound,
            at_least=True,
            detail=f"{median(rates):.0f}/s against {median(one.rate for one in some):.0f}/s, {waits}",
        )


def _always_lock() -> None:
    """Let no command of this process leave out the lock."""
    sole_writer.ALONE = 1 << 60


def waking(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Connections that wait, in several processes, and one event that wakes them all."""
    rounds = 5 if quick else 20
    with server(boards) as database:
        url = filled(boards, database, 100)
        fresh = multiprocessing.get_context("spawn")
        ready, times = fresh.Barrier(PROCESSES + 1), fresh.Queue()
        processes = [
            fresh.Process(target=_wait, args=(url, rounds, ready, times), daemon=True)
            for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        worst: list[float] = []
        with Orchestrator.open(url) as orc:
            for _ in range(rounds):
                ready.wait(60)
                sleep(_SETTLED)
                begun = monotonic()
                orc.events.log("ann", "said", text="wake up")
                late = [called - begun for _ in processes for called in times.get(timeout=60)]
                worst.append(1000 * quantiles(late, n=100)[-1])
        for process in processes:
            process.join(60)
    yield Figure(
        name="database-wake",
        what=f"PostgreSQL, one event to {PROCESSES * THREADS} waiting connections: 99th percentile",
        measured=median(worst),
        bound=50.0,
        unit=" ms",
        detail=f"of {rounds} events, from {min(worst):.0f} to {max(worst):.0f} ms, with the commit",
    )


def _wait(url: str, rounds: int, ready: Barrier, times: "Queue[list[float]]") -> None:
    """Follow the log with many connections; tell when each was called with the event."""
    boards = [Orchestrator.open(url) for _ in range(THREADS)]
    together, late = threading.Barrier(THREADS + 1), list[float]()

    def follow(orc: Orchestrator) -> None:
        events = orc.events.follow(type="said", since=orc.engine.read().event)
        for _ in range(rounds):
            together.wait()
            next(events)
            late.append(monotonic())
            together.wait()

    threads = [threading.Thread(target=follow, args=(orc,), daemon=True) for orc in boards]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        together.wait()
        ready.wait(60)
        together.wait()
        times.put(late)
        late = []
    for thread in threads:
        thread.join(60)


def replicating(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Commits on a server whose replica answers questions in SQL, and on one whose replica only follows."""
    seconds, rounds = (1.0, 3) if quick else (3.0, 6)
    with (
        server(boards) as primary,
        running(_CONNECTIONS, folder=os.path.dirname(boards.folder), copy_of=primary) as replica,
    ):
        url = filled(boards, primary, 10_000)
        with Orchestrator.open(url) as orc, psycopg.connect(replica.url, autocommit=True) as copy:

            def asked() -> tuple[float, list[float], int]:
                with _questions(replica.url) as count:
                    rate, lags = _commits(orc, copy, seconds)
                return rate, lags, count.value

            idle, busy = interleave(rounds, lambda: (*_commits(orc, copy, seconds), 0), asked)
    rates = [[rate for rate, _, _ in run] for run in (busy, idle)]
    lags = [[lag for _, some, _ in run for lag in some] for run in (busy, idle)]
    yield Figure(
        name="database-replica",
        what="PostgreSQL, commits while SQL reads a replica: rate against an idle replica",
        measured=ratio(*rates),
        detail=f"{median(rates[0]):.0f}/s against {median(rates[1]):.0f}/s,"
        f" {sum(count for _, _, count in busy) / rounds / seconds:.0f} questions a second",
    )
    yield Figure(
        name="database-replica",
        what="PostgreSQL, from the answer to a commit until a replica that is read shows it: 99th percentile",
        measured=1000 * quantiles(lags[0], n=100)[-1],
        unit=" ms",
        detail=f"median {ms(lags[0])}; idle replica {ms(lags[1])}",
    )


def _commits(
    orc: Orchestrator, copy: psycopg.Connection, seconds: float
) -> tuple[float, list[float]]:
    """Commits a second, and the seconds until a replica has a commit, measured for every tenth one."""
    number, took, lags = 0, 0.0, list[float]()
    while took < seconds:
        took += lap(lambda: orc.events.log("ann", "said", text="x"))
        number += 1
        if number % 10 == 0:
            begun, head = monotonic(), (orc.engine.position.id,)
            while copy.execute("SELECT max(head) FROM orchestrator.boards").fetchone() != head:
                pass
            lags.append(monotonic() - begun)
    return number / took, lags


@contextmanager
def _questions(url: str) -> "Iterator[Synchronized[int]]":
    """A process that counts the events of each type again and again; gives how often it has done so."""
    fresh = multiprocessing.get_context("spawn")
    count, begun = fresh.Value("i"), fresh.Event()
    process = fresh.Process(target=_ask, args=(url, count, begun), daemon=True)
    process.start()
    begun.wait(60)
    try:
        yield count
    finally:
        process.kill()
        process.join()


def _ask(url: str, count: "Synchronized[int]", begun: Event) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            connection.execute(
                "SELECT line::json ->> 'type', count(*) FROM orchestrator.events GROUP BY 1"
            ).fetchall()
            begun.set()
            count.value += 1


def writing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Writers on one board, in up to four processes: their commits a second, and the longest wait of one."""
    seconds = 2.0 if quick else 10.0
    rates: dict[int, float] = {}
    with server(boards) as database:
        for writers in (1, 8, 40, 200):
            url = filled(boards, database, 100)
            count = min(writers, PROCESSES)
            fresh = multiprocessing.get_context("spawn")
            start, results = fresh.Barrier(count), fresh.Queue()
            processes = [
                fresh.Process(target=_write, args=(url, writers // count, seconds, start, results))
                for _ in range(count)
            ]
            for process in processes:
                process.start()
            ends = [results.get(timeout=300) for _ in processes]
            turns = [turn for some, _ in ends for turn in some]
            for process in processes:
                process.join(60)
            rates[writers] = sum(number for number, _ in turns) / max(took for _, took in ends)
            yield Figure(
                name="database-writers",
                what=f"PostgreSQL, {writers} writers on one board: their total against one alone",
                measured=rates[writers] / rates[1],
                detail=f"{rates[writers]:.0f}/s, longest wait {max(wait for _, wait in turns):.2f} s,"
                f" from {min(turns)[0]} to {max(turns)[0]} commits each",
            )


def _write(
    url: str,
    writers: int,
    seconds: float,
    start: Barrier,
    results: "Queue[tuple[list[tuple[int, float]], float]]",
) -> None:
    boards = [Orchestrator.open(url, agent=f"ann-{n}", timeout=60) for n in range(writers)]
    for orc in boards:
        orc.engine.read()
    turns: list[tuple[int, float]] = []

    def write(orc: Orchestrator) -> None:
        end, number, longest = monotonic() + seconds, 0, 0.0
        while (begun := monotonic()) < end:
            orc.events.log(orc.engine.agent, "said", text="x")
            number, longest = number + 1, max(longest, monotonic() - begun)
        turns.append((number, longest))

    threads = [threading.Thread(target=write, args=(orc,)) for orc in boards]
    start.wait(120)
    begun = monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((turns, monotonic() - begun))
