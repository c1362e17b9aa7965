"""A board for tests with real processes, and the end of those that are started."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Orchestrator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A board with a workstream."""
    folder = tmp_path / "board"
    with Orchestrator.open(folder) as orc:
        orc.workstreams.create("build")
    return folder


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """The processes of the test, which end with it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
