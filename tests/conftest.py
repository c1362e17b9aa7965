"""Fixtures for all tests: boards in memory and on disk, with a clock that tests set."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from boards import SettableClock, check_law, new_store
from hypothesis import HealthCheck, settings
from system_under_test import LACKING, SYSTEM

from orchestrator import Orchestrator
from tests import postgres_server

os.environ["TZ"] = "UTC"  # local times in texts are those that the tests name
if hasattr(time, "tzset"):
    time.tzset()

OPSPAWN_BOARD = Path(__file__).parent / "data" / "opspawn-board"

_EXAMPLES = int(os.environ.get("ORC_EXAMPLES", "50"))
_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

for _name, _examples in {"default": _EXAMPLES, "ci": 200, "long": 5000}.items():
    settings.register_profile(
        _name, max_examples=_examples, deadline=None, suppress_health_check=_SLOW
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


_MEMORY = "/dev/shm"
_ROOM = 2 << 30  # bytes that a run may need


def pytest_configure() -> None:
    """Keep the folders of tests in memory if it has room: syncing to a disk is slow.

    A test that makes a folder with ``tempfile`` passes the value of this variable. ``tests/stress`` tests on
    the disk what a power loss leaves.
    """
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and os.access(_MEMORY, os.W_OK) and _serves():
        os.environ["PYTEST_DEBUG_TEMPROOT"] = _MEMORY


def _serves() -> bool:
    """Whether programs may start there, and there is room; an emulated system cannot say so."""
    if not hasattr(os, "statvfs"):
        return True
    system = os.statvfs(_MEMORY)
    return not system.f_flag & os.ST_NOEXEC and system.f_bavail * system.f_frsize > _ROOM


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of promises that this system does not make; ``-rs`` shows the reasons."""
    for item in items:
        for mark in item.iter_markers("needs"):
            for name in mark.args:
                if name in LACKING:
                    item.add_marker(pytest.mark.skip(reason=f"{SYSTEM}: {LACKING[name]}"))


@pytest.fixture(autouse=True)
def _no_inherited_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the caller's settings of boards and agents from the environment."""
    mine = ("ORCHESTRATOR_DIR", "ORC_AGENT", "ORC_SESSION", "ORC_REQUEST_ID", "ORC_CAUSE")
    for name in (*mine, "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def memory_path(tmp_path: Path) -> Path:
    """A folder in which a board has others beside it, and nothing else is."""
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """A PostgreSQL server for this process of tests."""
    if not postgres_server.is_here():
        pytest.skip("no PostgreSQL server is installed here")
    with postgres_server.running() as server:
        yield server


@pytest.fixture
def url(postgres: postgres_server.Server) -> str:
    """The URL of a new board in a database."""
    return postgres.new_board()


@pytest.fixture
def admin(postgres: postgres_server.Server) -> Iterator[psycopg.Connection]:
    """A connection to the server, which can see and break the others."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def clock() -> SettableClock:
    """A clock that only the test advances."""
    return SettableClock()


@pytest.fixture
def warnings() -> list[str]:
    """The warnings of the board of the test."""
    return []


@pytest.fixture
def orc(clock: SettableClock, warnings: list[str]) -> Iterator[Orchestrator]:
    """A board of ``new_store``; when the test ends, its state must be the fold of its log."""
    orc = Orchestrator(new_store(), now=clock, warn=warnings.append)
    yield orc
    check_law(orc)


@pytest.fixture
def build(orc: Orchestrator) -> Orchestrator:
    """The board in memory, with a workstream."""
    orc.workstreams.create("build")
    return orc


@pytest.fixture
def board(clock: SettableClock, warnings: list[str], memory_path: Path) -> Iterator[Orchestrator]:
    """A board of files; when the test ends, its state must be the fold of its log."""
    orc = Orchestrator.open(memory_path / "board", now=clock, warn=warnings.append)
    yield orc
    check_law(orc)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local zone is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    if hasattr(time, "tzset"):
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()
