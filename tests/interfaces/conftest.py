"""A board and a command line for each test."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.interfaces.cli.main import main
from orchestrator.stores.files.layout import make


class Shown:
    """The result of a command: its exit status, stdout and stderr."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


CommandLine = Callable[..., Shown]


class Stdin:
    """Standard input with a text."""

    def __init__(self, text: str) -> None:
        self.buffer = io.BytesIO(text.encode())

    def isatty(self) -> bool:
        return False


@pytest.fixture
def cli(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Run a command line on a board of its own."""
    for name in ("ORC_AGENT", "ORC_REQUEST_ID", "NO_COLOR", "_ORC_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCHESTRATOR_DIR", make(str(tmp_path / "board")))

    def run(*words: str, status: int | None = 0) -> Shown:
        capsysbinary.readouterr()
        code = main(words)
        out, err = capsysbinary.readouterr()
        shown = Shown(code, out.decode(), err.decode())
        assert status is None or code == status, shown.out + shown.err
        return shown

    return run
