"""A fixture with a kitchen: a folder of formulas for each test."""

from pathlib import Path

import pytest

from .kitchen import Kitchen


@pytest.fixture
def kitchen(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(memory_path / "config"))
    return Kitchen(memory_path / "board")
