"""A board, and clients of its server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.interfaces.web.access import Rules, rules_of
from orchestrator.interfaces.web.app import Service, application

TOKEN = "t-0123456789"
URL = "http://127.0.0.1:8137"


@pytest.fixture
def board(memory_path: Path) -> Iterator[Orchestrator]:
    """A board with a workstream and a task."""
    with Orchestrator.open(memory_path / "board", agent="kim") as orc:
        orc.workstreams.create("build", priority=2)
        orc.tasks.add("build", title="Write the parser", priority=3)
        yield orc


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of a board with a workstream, for servers that are processes."""
    with Orchestrator.open(tmp_path / "board") as orc:
        orc.workstreams.create("build")
    return tmp_path / "board"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a user, not made yet."""
    return tmp_path / "home"


@contextmanager
def client_of(
    orc: Orchestrator, *, is_gated: bool = True, person: str = "kim", **rules: Any
) -> Iterator[TestClient]:
    """A client of the server; without its gate it is the naive version that attacks are tried on."""
    gate: Rules = rules_of(TOKEN, ["127.0.0.1", "localhost"], 8137, **rules)
    app: Any = application(Service(AsyncOrchestrator(orc), person, "board"), gate)
    headers = {"Authorization": f"Bearer {TOKEN}"} if is_gated else {}
    served = app if is_gated else app._app
    with TestClient(served, URL, headers=headers, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(board: Orchestrator) -> Iterator[TestClient]:
    """A client that is let in."""
    with client_of(board) as client:
        yield client
