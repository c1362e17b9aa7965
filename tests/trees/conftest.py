"""A repository of git with a board, for the tests of worktrees and of the merge queue."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import SettableClock, check_law

from orchestrator import Orchestrator

from .repositories import IDENTITY, Repo


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the settings of git nor the trust of the person who runs the tests."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", os.devnull)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def repository(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository; the test runs in it."""
    made = Repo(memory_path / "repo", {"a.txt": "a\n"})
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def orc(repository: Repo, clock: SettableClock, warnings: list[str]) -> Iterator[Orchestrator]:
    """The board of the repository, which git ignores."""
    (repository.folder / ".git" / "info" / "exclude").write_text("/.orchestrator/\n")
    orc = Orchestrator.open(repository.folder / ".orchestrator", now=clock, warn=warnings.append)
    orc.workstreams.create("build")
    yield orc
    check_law(orc)
