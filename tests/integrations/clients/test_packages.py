"""The packages of clients: written from one source, and accepted by the validators of the real programs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.integrations.clients import packages
from orchestrator.integrations.clients.onboarding import LOOP

ROOT = Path(__file__).parents[3]
INSTALLED = ROOT / ".venv" / "runtimes" / "node_modules" / ".bin"


def test_the_files_in_the_repository_are_those_that_make_docs_writes(tmp_path: Path) -> None:
    packages.write(str(tmp_path))
    for top in ("plugins", ".claude-plugin"):
        here, there = (
            {p.relative_to(root): p.read_text() for p in (root / top).rglob("*") if p.is_file()}
            for root in (ROOT, tmp_path)
        )
        assert here == there, "run `make docs`"


def test_every_text_for_agents_is_the_one_that_setup_writes() -> None:
    texts = [text for path, text in packages.packages() if path.endswith(("SKILL.md", "GEMINI.md"))]
    assert len(texts) == 4
    assert all(LOOP in text for text in texts)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("claude", ("plugin", "validate", "plugins/claude")),
        ("claude", ("plugin", "validate", ".")),
        ("gemini", ("extensions", "validate", "plugins/gemini")),
    ],
)
def test_the_validator_of_the_program_accepts_it(
    tmp_path: Path, program: str, words: tuple[str, ...]
) -> None:
    path = shutil.which(program, path=f"{INSTALLED}:{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"{program} is not installed: `make runtimes` installs it where npm has it")
    variables = {"HOME": str(tmp_path), "PATH": f"{INSTALLED}:{os.environ['PATH']}"}
    done = subprocess.run(
        [path, *words], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "success" in output or "Validation passed" in output, output
