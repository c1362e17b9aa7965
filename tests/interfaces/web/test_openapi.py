"""Every request, also a random one of schemathesis, gets an answer that the OpenAPI document describes.

The test asks each route a few times, always the same. ``make openapi`` asks it thousands of times.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import sample_boards
from .process import serving

pytest.importorskip("schemathesis")

SETTINGS = str(Path(__file__).with_suffix(".toml"))

ENDLESS = "/api/stream"


def test_every_answer_is_one_that_the_document_describes(tmp_path: Path):
    board = tmp_path / "board"
    sample_boards.small(board, sample_boards.hostile)
    words = os.environ.get("ORC_SCHEMATHESIS", "--phases examples,fuzzing --max-examples 1")
    with serving(board, tmp_path / "home", "--port", "0") as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", SETTINGS),
                *("run", f"http://127.0.0.1:{server.port}/api/openapi.json"),
                *("--header", f"Authorization: Bearer {server.token}", "--exclude-path", ENDLESS),
                *("--no-shrink", "--warnings", "off", "--continue-on-failure", "--no-color"),
                "--generation-deterministic",
                *words.split(),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        err = server.end()
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "Traceback" not in err
