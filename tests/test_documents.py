"""The documents are correct: their examples run, and their links have targets."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forked

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ID = re.compile(r"\b[0-9a-f]{8}\b")
# A local time is shown with its date where it is another day, as just after midnight.
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\[\d\d:\d\d:\d\d\]|(?:\d{4}-\d\d-\d\d )?\b\d\d:\d\d\b")

UNHEARD = re.compile(r"Note: No runner has loaded [\w, ]+ yet, .*\n")
AGE = re.compile(r"\b\d+s +")


def blocks(language: str, document: Path = ROOT / "README.md") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


IN_A_SHELL = ("worktrees.md", "merging.md")
"""Guides about git: test_repository.py and test_merge_runner.py in tests/interfaces run them."""


def steps(document: Path) -> Iterator[tuple[str, str | None]]:
    """The commands of a document in order, each with its output, or None."""
    for language, text in re.findall(r"```(console|sh)\n(.*?)```", document.read_text(), re.DOTALL):
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, shown = part.partition("\n")
                yield line, shown
        elif document.name not in IN_A_SHELL:
            yield from ((line, None) for line in text.splitlines() if line.startswith("orc "))


def test_the_map_of_the_architecture_names_what_is_there() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    package = ROOT / "orchestrator"
    modules = {path.name for path in package.rglob("*.py")}
    named = {name.rpartition("/")[2] for name in re.findall(r"`([\w/]+\.py)`", text)}
    assert (
        named - modules - {path.name for path in (*ROOT.glob("*.py"), *ROOT.glob("tests/**/*.py"))}
        == set()
    )
    packages = {path.parent for path in package.glob("*/__init__.py")}
    assert {
        f"`orchestrator/{path.name}/"
        for path in packages
        if f"`orchestrator/{path.name}/" not in text
    } == set()
    tasks = {path.name for path in (package / "domain" / "tasks").glob("*.py")} - {"__init__.py"}
    assert tasks - named == set()


DATABASES = {"database.md": "work", "machines.md": "team"}
"""The databases that documents use."""


def files(document: Path) -> list[tuple[str, str]]:
    """The files in a document; each block has the name of its file after the language."""
    return re.findall(r"```\w+ (\S+)\n(.*?)```", document.read_text(), re.DOTALL)


def with_ids(text: str, ids: dict[str, str]) -> str:
    """The text with the ids of this run instead of those in the document."""
    return ID.sub(lambda match: ids.get(match[0], match[0]), text)


@pytest.mark.parametrize(
    "document",
    [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_the_commands_of_a_document_do_what_it_shows(
    document: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All commands run from top to bottom in a new folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ORC")}
    environment |= {"PYTHONPATH": str(ROOT)}
    environment |= dict.fromkeys(("XDG_DATA_HOME", "LOCALAPPDATA"), str(tmp_path / "user"))
    if document.name == "terminals.md":
        if not shutil.which("tmux"):
            pytest.skip("tmux is not installed")
        environment["TMUX_TMPDIR"] = str(tmp_path)  # what it leaves is a server without sessions
    if document.name in DATABASES:
        server = request.getfixturevalue("postgres")
        environment |= server.variables(DATABASES[document.name])
    ids: dict[str, str] = {}
    for name, text in files(document):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for line, shown in [("orc init", None), *steps(document)]:
        program, *words = shlex.split(with_ids(line, ids), comments=shown is None)
        assert program == "orc"
        done = forked.run(words, cwd=tmp_path, env=environment)
        if shown is None:
            # A document may push an event before it shows how a runner is started.
            errors = UNHEARD.sub("", done.stderr)
            assert (done.returncode, errors) == (0, ""), line
            continue
        ids |= dict(zip(ID.findall(shown), ID.findall(done.stdout), strict=False))
        printed, wanted = done.stdout, with_ids(shown, ids)
        for pattern in (TIME, AGE):
            printed, wanted = pattern.sub("TIME", printed), pattern.sub("TIME", wanted)
        assert printed == wanted, line


PYTHON = [ROOT / "README.md", ROOT / "docs" / "guides" / "python.md"]
of_python = pytest.mark.parametrize("document", PYTHON, ids=lambda path: path.name)


@of_python
def test_the_python_of_a_document_runs(document: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for block in blocks("python", document):
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment, check=True)


def test_the_python_of_the_documents_passes_strict_types(tmp_path: Path) -> None:
    programs = []
    for number, block in enumerate(
        block for document in PYTHON for block in blocks("python", document)
    ):
        programs.append(tmp_path / f"program{number}.py")
        programs[-1].write_text(block)
    command = [sys.executable, "-m", "mypy", "--strict", *programs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text().splitlines()[:30]
    assert [line.split("#")[0].strip() for line in first_screen if line.startswith("make ")] == [
        "make demo",
        "make test",
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_document_can_be_reached_from_the_readme() -> None:
    """By links; one to a folder shows everything in it."""
    reached: set[Path] = set()
    found = [ROOT / "README.md"]
    while found:
        document = found.pop()
        if document in reached:
            continue
        reached.add(document)
        if document.is_dir():
            found += document.glob("*.md")
        elif document.suffix == ".md":
            links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
            found += [(document.parent / link).resolve() for link in links]
    assert set(DOCUMENTS) - reached == set()


PACKAGE = ROOT / "orchestrator"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_path_of_the_repository_that_a_document_names_exists(document: Path) -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    for path in re.findall(r"`([\w-]+/[\w./-]*)`", document.read_text()):
        top = path.split("/")[0]
        if top == "formulas" and not path.endswith(".py"):
            continue  # the folder of a board
        if top in folders | {"tests", "benchmarks", "examples", PACKAGE.name}:
            assert (ROOT / path).exists() or (PACKAGE / path).exists(), path


def test_a_module_that_the_map_names_is_in_the_folder_of_its_row() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    folder = PACKAGE
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        if path := re.match(r"\| `(orchestrator/[\w/]+/)`", row):
            folder = ROOT / path[1]
        elif row == "| question | modules |":
            folder = PACKAGE / "domain" / "tasks"
        elif row == "| step | where |":
            return
        for name in re.findall(r"`(\w+\.py)`", row):
            if not (ROOT / "orchestrator" / name).exists() and folder.name != "domain":
                assert (folder / name).exists(), (row, name)
    raise AssertionError("The table of a command's path is gone")
