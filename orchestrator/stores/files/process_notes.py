"""``state/presence/<folder>/<process>-<number>``: notes of processes about agents: one waits, one is served.

A note counts while its process runs.
"""

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from orchestrator.core import names, system
from orchestrator.core.errors import BadName, InputOutputError
from orchestrator.stores.files import disk

_number = itertools.count()
"""Distinguishes the notes of one process."""


class _Note(msgspec.Struct):
    """The note of a process about an agent."""

    agent: str
    pid: int
    started: int
    boot: str
    since: float

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return system.condition(self.pid, self.started, self.boot, self.since) != "gone"


@contextmanager
def noted(folder: str, agent: str) -> Iterator[None]:
    """Keep a note about an agent. It is a hint, so an error of writing it is ignored."""
    path = f"{folder}/{os.getpid()}-{next(_number)}"
    try:
        _write(folder, path, _Note(agent, os.getpid(), *system.identity(), time.time()))
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)


def agents_of(folder: str) -> set[str]:
    """The agents that running processes have noted; notes of processes that have ended are removed."""
    agents = set()
    for path, note in _notes(folder):
        if note.is_alive:
            agents.add(note.agent)
        else:
            with suppress(OSError):
                os.unlink(path)
    return agents


def noted_agents(folder: str) -> dict[str, bool]:
    """The agents that processes have noted, and whether one of these processes runs."""
    agents: dict[str, bool] = {}
    for _, note in _notes(folder):
        agents[note.agent] = agents.get(note.agent, False) or note.is_alive
    return agents


def forget(folder: str, agent: str) -> None:
    """Remove the notes about an agent whose processes have ended."""
    for path, note in _notes(folder):
        if note.agent == agent and not note.is_alive:
            with suppress(OSError):
                os.unlink(path)


def _notes(folder: str) -> Iterator[tuple[str, _Note]]:
    with suppress(OSError, InputOutputError):
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            note = _read(path)
            if note is not None:
                yield path, note


def _write(folder: str, path: str, note: _Note) -> None:
    above = os.path.dirname(folder)
    if any(map(os.path.islink, (os.path.dirname(above), above, folder))):
        return  # never touch a file outside the board; the doctor reports the link
    with suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        fd = system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(fd, msgspec.json.encode(note))
        finally:
            os.close(fd)


def _read(path: str) -> _Note | None:
    """The note in a file; None if it is incomplete or not a note."""
    with suppress(OSError, InputOutputError, msgspec.MsgspecError, BadName):
        note = msgspec.json.decode(disk.read(path) or b"", type=_Note)
        names.agent(note.agent)
        return note
    return None
