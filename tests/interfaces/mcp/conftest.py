"""A board with a workstream, and who acts on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from tests.interfaces.mcp.serving import InProcess


@pytest.fixture
def board(tmp_path: Path) -> Path:
    with Orchestrator.open(tmp_path / "board", agent="lead") as orc:
        orc.workstreams.create("api")
    return tmp_path / "board"


@pytest.fixture
def ann(board: Path) -> InProcess:
    return InProcess(board, "ann")


@pytest.fixture
def orc(board: Path) -> Iterator[Orchestrator]:
    with Orchestrator.open(board, agent="lead") as orc:
        yield orc
