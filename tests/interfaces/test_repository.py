"""One board for a git repository and all its worktrees: with real git and real processes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stress.situations import COMMANDS

from orchestrator.core import repository
from orchestrator.interfaces.cli.reference import commands
from tests import forked

from .conftest import CommandLine
from .reading import read

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")

ROOT = Path(__file__).parents[2]
IDENTITY = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, without the settings of the user."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    settings = ("-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main")
    command = ["git", "-C", str(folder), *IDENTITY, *settings, *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


@dataclass
class Ended:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def orc(folder: Path, *words: str, **variables: str) -> Ended:
    """Run ``orc`` in a folder to its end; no variable names a board."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORC", "GIT_"))}
    variables = environment | {"PYTHONPATH": str(ROOT)} | variables
    ended = forked.run(words, cwd=folder, env=variables)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """The main worktree of a repository with one commit."""
    folder = tmp_path / "main"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "src").mkdir()
    (folder / "src" / "a.py").write_text("pass\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "The beginning")
    return folder


@pytest.fixture
def linked(main: Path, tmp_path: Path) -> Path:
    """A linked worktree, far from the main one."""
    folder = tmp_path / "elsewhere" / "linked"
    git(main, "worktree", "add", "-q", str(folder))
    return folder


def board_of(folder: Path, **variables: str) -> str:
    """The board for a query in a folder."""
    finding = orc(folder, "doctor", "--json", **variables)
    shown = orc(folder, "--json", "ws", "ls", **variables)
    assert shown.status == 0, shown.err
    assert finding.status in (0, 1), finding.err
    return str(shown.json[0]["name"])


def test_every_worktree_and_every_subfolder_has_the_board_of_the_main_one(
    main: Path, linked: Path
) -> None:
    assert orc(main, "init").status == 0
    orc(main, "ws", "create", "w")
    orc(main, "t", "add", "w", "One")
    inner = linked / "src" / "deep"
    inner.mkdir()
    taken = [orc(folder, "t", "next", "w", "ann", "--json") for folder in (inner, linked, main)]
    assert [ended.status for ended in taken] == [0, 1, 1], "one task, three worktrees: given once"
    assert not list(linked.rglob(".orchestrator"))


def test_init_in_a_linked_worktree_makes_the_board_of_the_main_one(
    main: Path, linked: Path
) -> None:
    made = orc(linked / "src", "init", "--json").json
    assert made == {"board": str(main / ".orchestrator"), "created": True, "git": "excluded"}
    again = orc(linked, "init", "--json").json
    assert again == {**made, "created": False}
    assert orc(main, "ws", "create", "w").status == 0
    for folder in (main, linked):
        assert git(folder, "status", "--porcelain") == ""


def test_a_board_in_a_subfolder_of_the_main_worktree_is_that_of_the_same_subfolder(
    main: Path, linked: Path
) -> None:
    orc(main / "src", "init")
    orc(main / "src", "ws", "create", "w")
    assert board_of(linked / "src") == "w"
    assert orc(linked, "ws", "ls").status == 3


def two_boards(main: Path, linked: Path) -> None:
    for folder, name in ((linked, "theirs"), (main, "ours")):
        orc(folder, "init", str(folder / ".orchestrator"))
        orc(folder, "--board", str(folder / ".orchestrator"), "ws", "create", name)


def test_of_two_boards_the_main_one_is_read_with_a_warning_and_changes_are_refused(
    main: Path, linked: Path
) -> None:
    two_boards(main, linked)
    shown = orc(linked, "ws", "ls", "--json")
    assert [stream["name"] for stream in shown.json] == ["ours"]
    assert str(main / ".orchestrator") in shown.err
    assert f"{linked / '.orchestrator'} has events of its own" in shown.err
    refused = orc(linked, "t", "add", "theirs", "x", "--json")
    error = json.loads(refused.err)["error"]
    assert (refused.status, error["code"]) == (1, "two_boards")
    for folder in (main, linked):
        assert str(folder / ".orchestrator") in error["message"]
        assert str(folder / ".orchestrator") in error["hint"]
    assert orc(main, "ws", "create", "more").status == 0, "the main worktree is not concerned"
    named = str(linked / ".orchestrator")
    assert orc(linked, "--board", named, "ws", "create", "more").status == 0, "nor is a named board"


def test_the_hint_about_two_boards_runs_as_printed(
    main: Path, linked: Path, tmp_path: Path
) -> None:
    two_boards(main, linked)
    orc(linked, "--board", str(linked / ".orchestrator"), "t", "add", "theirs", "Carried over")
    refused = orc(linked, "ws", "create", "x", "--json")
    lines = json.loads(refused.err)["error"]["hint"].split("`")[1::2]
    move, *join = lines
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "orc").write_text(
        f'#!/bin/sh\nexec {sys.executable} {ROOT / "cli.py"} "$@"\n', newline="\n"
    )
    (programs / "orc").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    for line in (*join, move):
        subprocess.run(line, shell=True, check=True, cwd=linked, env={**os.environ, "PATH": path})
    assert orc(linked, "ws", "create", "x").status == 0
    assert "Carried over" in orc(main, "t", "ls").out


def guide_blocks(folder: Path, *numbers: int) -> subprocess.CompletedProcess[str]:
    """Run blocks of the guide in one shell, with ``orc`` as a program; ``NEXT`` is printed between them."""
    guide = (ROOT / "docs" / "guides" / "worktrees.md").read_text()
    blocks = guide.split("```sh\n")
    script = "\necho NEXT\n".join(blocks[number].partition("```")[0] for number in numbers)
    program = folder / "orc"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "cli.py"} "$@"\n', newline="\n")
    program.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORC", "GIT_"))}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "ann", f"GIT_{who}_EMAIL": "ann@example.org"}
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    shown = subprocess.run(
        ["sh", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    return shown


def test_the_guide_runs(tmp_path: Path) -> None:
    one_board, _, one_task = guide_blocks(tmp_path, 1, 2).stdout.partition("NEXT\n")
    assert re.search(
        r"^Worktree: .*/project.worktrees/\w+ \(branch task/\w+-write-the-printer\)", one_task
    )
    assert re.search(r"^Removed \w+: .* and its branch, which is merged$", one_task, re.MULTILINE)
    lines = [line for line in one_board.splitlines() if not line.startswith(("[", "Prep"))]
    assert lines[-5].startswith("Claimed next task: ")
    assert lines[-4].startswith("No pending tasks")
    assert lines[-3] == "Lock acquired: src/lexer.py"
    assert re.fullmatch(r"Lock denied: /\S+/src/lexer.py \(held by another agent\)", lines[-2])
    assert lines[-1].startswith("ben holds src/lexer.py until ")


def test_two_clones_of_a_versioned_board_become_one_as_the_guide_says(tmp_path: Path) -> None:
    """A conflict of git leaves a sound log; doctor names the way, and both boards end with the same work."""
    shown = guide_blocks(tmp_path, 3)
    assert "CONFLICT (content): Merge conflict in .orchestrator/state/events.jsonl" in shown.stdout
    assert "Merged 1 event of ../theirs/.orchestrator, after event 1\n" in shown.stdout
    shop, ben = tmp_path / "shop", tmp_path / "ben"
    assert orc(shop, "doctor").status == 0
    assert {task["title"] for task in orc(shop, "ls", "--json").json} == {
        "Write the lexer", "Write the printer",
    }  # fmt: skip
    assert git(tmp_path / "theirs", "status", "--porcelain") == "", "the other board is only read"
    git(ben, "pull", "-q", "../shop", "main")
    assert orc(ben, "add", "build", "More").status == 4
    findings = orc(ben, "doctor", "--json").json["findings"]
    assert [f["check"] for f in findings if f["level"] == "damage"] == ["snapshot"]
    assert orc(ben, "doctor", "--fix", "--accept-log").status == 0
    assert orc(ben, "add", "build", "More").status == 0
    orc(shop, "add", "build", "Of ann")
    git(shop, "commit", "-q", "-a", "-m", "More of ann")
    git(ben, "commit", "-q", "-a", "-m", "More of ben")
    with pytest.raises(subprocess.CalledProcessError):
        git(shop, "pull", "-q", "--no-rebase", "../ben", "main")
    hints = [f["hint"] for f in orc(shop, "doctor", "--json").json["findings"] if f["hint"]]
    assert len(hints) == 1
    assert "orc board merge" in hints[0]
    merged = orc(shop, "board", "merge", str(ben / ".orchestrator"), "--json").json
    assert (merged["taken"], merged["conflicts"]) == (1, [])
    assert len(orc(shop, "ls", "--json").json) == 4


def test_an_empty_board_of_a_linked_worktree_is_passed_over(main: Path, linked: Path) -> None:
    orc(main, "init")
    orc(linked, "init", str(linked / ".orchestrator"))
    added = orc(linked, "ws", "create", "w")
    assert (added.status, added.err) == (0, "")
    assert board_of(main) == "w"


def test_a_versioned_board_is_checked_out_everywhere_and_stays_one(
    main: Path, tmp_path: Path
) -> None:
    """The log in a linked worktree is an earlier state of the main one, so it has no events of its own."""
    assert orc(main, "init", "--versioned", "--json").json["git"] == "versioned"
    orc(main, "ws", "create", "w")
    git(main, "add", ".orchestrator")
    git(main, "commit", "-q", "-m", "The board")
    linked = tmp_path / "linked"
    git(main, "worktree", "add", "-q", str(linked))
    assert (linked / ".orchestrator" / "state" / "events.jsonl").exists()
    for folder, title in ((main, "One"), (linked, "Two"), (main, "Three")):
        added = orc(folder, "t", "add", "w", title)
        assert (added.status, added.err) == (0, "")
    assert git(linked, "status", "--porcelain") == ""
    assert len(orc(linked, "t", "ls", "--json").json) == 3


def test_a_board_in_a_linked_worktree_alone_works_and_explains_how_to_share_it(
    main: Path, linked: Path
) -> None:
    orc(linked, "init", str(linked / ".orchestrator"))
    added = orc(linked, "ws", "create", "w")
    assert added.status == 0
    assert f"mv {linked / '.orchestrator'} {main / '.orchestrator'}" in added.err
    assert orc(linked, "ws", "ls").err == ""
    (linked / ".orchestrator").rename(main / ".orchestrator")
    assert board_of(linked) == "w"


@pytest.mark.parametrize("name", ["repo.git", ".bare"])
def test_the_worktrees_of_a_bare_repository_have_the_board_beside_it(
    main: Path, tmp_path: Path, name: str
) -> None:
    project = tmp_path / "project"
    git(tmp_path, "clone", "-q", "--bare", str(main), str(project / name))
    for tree in ("one", "two"):
        git(project / name, "worktree", "add", "-q", "-b", tree, str(project / "trees" / tree))
    board = str(project / ".orchestrator")
    assert orc(project / name / "refs", "init", "--json").json["board"] == board
    assert orc(project / "trees" / "one", "init", "--json").json["board"] == board
    orc(project / "trees" / "one", "ws", "create", "w")
    assert board_of(project / "trees" / "two" / "src") == "w"
    assert board_of(project / name) == "w", "and from inside the bare repository"


def test_a_submodule_is_a_repository_of_its_own(main: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    git(parent, "init", "-q")
    git(parent, "submodule", "--quiet", "add", str(main), "lib")
    lib = parent / "lib"
    assert orc(lib, "init", "--json").json["board"] == str(lib / ".orchestrator")
    orc(lib, "ws", "create", "inner")
    orc(parent, "init")
    orc(parent, "ws", "create", "outer")
    assert (board_of(lib / "src"), board_of(parent)) == ("inner", "outer")
    assert git(lib, "status", "--porcelain") == ""
    tree = tmp_path / "tree"
    git(lib, "worktree", "add", "-q", str(tree))
    assert board_of(tree) == "inner", "a linked worktree of a submodule finds the submodule"


def test_the_variables_of_git_are_honoured(main: Path, linked: Path, tmp_path: Path) -> None:
    orc(main, "init")
    orc(main, "ws", "create", "w")
    outside = tmp_path / "outside"
    outside.mkdir()
    assert orc(outside, "ws", "ls").status == 3
    trees = main / ".git" / "worktrees" / "linked"
    assert board_of(outside, GIT_DIR=str(main / ".git")) == "w"
    assert board_of(outside, GIT_DIR=str(trees)) == "w"
    assert board_of(outside, GIT_DIR=str(trees), GIT_COMMON_DIR=str(main / ".git")) == "w"
    assert board_of(linked, GIT_DIR=git(linked, "rev-parse", "--git-dir").strip()) == "w"
    assert board_of(main, GIT_DIR=".git") == "w"


def test_the_folder_of_git_elsewhere(tmp_path: Path, main: Path) -> None:
    clone, store = tmp_path / "clone", tmp_path / "store"
    store.mkdir()
    git(
        tmp_path,
        "clone",
        "-q",
        f"--separate-git-dir={store / 'x.git'}",
        str(main),
        "clone",
    )
    place = repository.around(str(clone / "src"))
    assert place is not None
    assert (place.main, place.is_linked) == (str(clone), False)


@pytest.mark.parametrize("text", ["", "gitdir: /nowhere\n", "nonsense", "gitdir:\n"])
def test_a_broken_git_file_is_not_a_repository(tmp_path: Path, text: str) -> None:
    (tmp_path / ".git").write_text(text)
    assert repository.around(str(tmp_path)) is None
    assert orc(tmp_path, "init").status == 0


def test_a_linked_worktree_whose_main_one_is_gone_has_no_other_board(
    main: Path, linked: Path, tmp_path: Path
) -> None:
    orc(main, "init")
    orc(main, "ws", "create", "w")
    orc(linked.parent, "init", str(linked.parent / ".orchestrator"))
    main.rename(tmp_path / "moved")
    for words in (("ws", "ls"), ("ws", "create", "x")):
        lost = orc(linked / "src", *words)
        assert (lost.status, lost.out) == (3, "")
        assert f"{linked / '.git'} leads to no repository" in lost.err
        assert "git worktree repair" in lost.err
    git(tmp_path / "moved", "worktree", "repair", str(linked))
    assert board_of(linked) == "w"


def test_a_board_in_a_worktree_that_leads_nowhere_is_used_with_a_warning(
    main: Path, linked: Path, tmp_path: Path
) -> None:
    orc(linked, "--board", ".orchestrator", "ws", "create", "own")
    main.rename(tmp_path / "moved")
    shown = orc(linked, "ws", "create", "x")
    assert shown.status == 0
    assert "is the board of this worktree alone" in shown.err


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_COMMON_DIR"])
def test_variables_of_git_that_lead_nowhere_do_not_hide_the_main_board(
    main: Path, linked: Path, name: str
) -> None:
    orc(main, "init")
    orc(main, "ws", "create", "w")
    orc(linked, "--board", ".orchestrator", "ws", "create", "own")
    refused = orc(linked, "--json", "ws", "create", "x", **{name: "/nonexist"})
    assert json.loads(refused.err)["error"]["code"] == "two_boards"


def _with_text(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.skipif(os.name == "nt", reason="kinds of files that POSIX has")
@pytest.mark.parametrize("name", [".git", "commondir"])
@pytest.mark.parametrize(
    "make",
    [
        _with_text(b"gitdir: /a\0b\n"),
        _with_text(b"\0" * 100),
        _with_text(b"gitdir: " + b"x/" * 100_000),
        _with_text(b"/nowhere\n"),
        os.mkfifo,
        os.mkdir,
        _loop,
    ],
)
def test_an_odd_file_of_git_is_an_error_and_no_second_board(
    main: Path, linked: Path, name: str, make: Callable[[Path], object]
) -> None:
    orc(main, "init")
    folder = linked if name == ".git" else main / ".git" / "worktrees" / "linked"
    (folder / name).unlink()
    make(folder / name)
    shown = orc(linked, "add", "Write it")
    assert shown.status in (2, 3, 74), shown.err
    assert shown.err.startswith("Error: ")
    assert not (linked / ".orchestrator").exists()


def test_an_absolute_path_in_any_worktree_is_one_from_its_top(main: Path, linked: Path) -> None:
    orc(main, "init")
    orc(main, "ws", "create", "w")
    file = linked / "src" / "a.py"
    orc(main, "t", "add", "w", "T", "--touches", f"{file},{main}/docs/", "--artifact", str(file))
    (task,) = orc(main, "t", "ls", "--json").json
    assert task["touches"] == ["src/a.py", "docs"]
    assert task["checks"]["artifacts"] == ["src/a.py"]
    assert orc(linked, "l", "acquire", str(file), "ann", "--json").json["resource"] == "src/a.py"
    assert orc(main, "l", "acquire", str(main / "src" / "a.py"), "ben").status == 1
    outside = orc(main, "l", "acquire", "/elsewhere/src//a.py", "ben", "--json")
    assert outside.json["resource"] == "/elsewhere/src/a.py"
    assert orc(linked, "l", "release", "./src/a.py", "ann").status == 0
    assert orc(linked / "src", "t", "claim", task["id"], "ann").status == 0
    ended = orc(linked / "src", "t", "complete", task["id"], "done", "--agent", "ann")
    assert ended.status == 0, "the artifact is looked for from the top of the worktree too"


# What git sees


def test_init_explains_the_use_of_git_and_the_doctor_checks_it(main: Path) -> None:
    made = orc(main, "init")
    assert made.out.splitlines()[0] == f"Made a board: {main / '.orchestrator'}"
    assert "--versioned" in made.out
    orc(main, "ws", "create", "w")
    assert git(main, "status", "--porcelain") == ""
    assert not (main / ".orchestrator" / ".gitattributes").exists()
    assert orc(main, "doctor").status == 0
    exclude = main / ".git" / "info" / "exclude"
    assert exclude.read_text().splitlines()[-1] == "/.orchestrator/"
    assert exclude.read_text().startswith("# git ls-files"), "what was there stays"

    again = orc(main, "init", "--versioned")
    assert again.out.splitlines()[0] == f"There is already a board: {main / '.orchestrator'}"
    assert git(main, "status", "--porcelain") == "?? .orchestrator/\n"
    assert orc(main, "doctor").status == 0
    (main / ".orchestrator" / ".gitattributes").unlink()
    assert orc(main, "doctor").status == 1
    assert orc(main, "doctor", "--fix").status == 0
    assert (main / ".orchestrator" / ".gitattributes").exists()


@pytest.mark.parametrize(
    "line", [".orchestrator", "/.orchestrator/", "**/.orchestrator/", "/.orchestrator/*"]
)
def test_a_board_that_gitignore_names_is_left_alone(main: Path, line: str) -> None:
    (main / ".gitignore").write_text(f"{line}\n")
    before = (main / ".git" / "info" / "exclude").read_text()
    assert orc(main, "init", "--json").json["git"] == "excluded"
    assert (main / ".git" / "info" / "exclude").read_text() == before
    assert orc(main, "doctor").status == 0


def test_the_doctor_is_content_with_a_checkout_whose_state_git_ignores(main: Path) -> None:
    """A board that is the whole worktree is versioned, unless ``.gitignore`` names its state."""
    (main / "state").mkdir()
    assert orc(main, "--board", ".", "ws", "create", "build").status == 0
    for path in (main / "state" / ".gitignore", main / ".gitattributes"):
        path.unlink(missing_ok=True)
    assert orc(main, "--board", ".", "doctor").status == 1
    (main / ".gitignore").write_text("/state/*\n!/state/README.md\n")
    assert orc(main, "--board", ".", "doctor").status == 0


def test_a_merge_with_a_board_that_is_not_there_makes_no_board(tmp_path: Path) -> None:
    ended = orc(tmp_path, "--board", "new", "board", "merge", "typo")
    assert (ended.status, (tmp_path / "new").exists()) == (3, False)
    assert "Warning" not in ended.err


def test_an_exclude_file_that_cannot_be_written_makes_a_versioned_board(
    main: Path, tmp_path: Path
) -> None:
    """A link is not followed: its target does not belong to the repository."""
    exclude = main / ".git" / "info" / "exclude"
    exclude.unlink()
    target = tmp_path / "target"
    target.write_text("mine\n")
    exclude.symlink_to(target)
    assert orc(main, "init", "--json").json["git"] == "versioned"
    assert target.read_text() == "mine\n"
    assert (main / ".orchestrator" / ".gitattributes").exists()


def test_a_change_makes_a_named_board_out_of_the_sight_of_git(main: Path) -> None:
    assert orc(main, "--board", ".orchestrator", "ws", "create", "w").status == 0
    assert git(main, "status", "--porcelain") == ""


@pytest.mark.parametrize("how", [(), ("--versioned",)])
def test_a_handoff_collects_no_file_of_the_board(
    main: Path, linked: Path, how: tuple[str, ...]
) -> None:
    orc(main, "init", *how)
    for folder in (main, linked):
        (folder / "new.py").write_text("pass\n")
        ended = orc(folder, "handoff", "--collect", "--agent", "ann", "--json")
        assert ended.json["collected"] == ["changed file new.py"]


# Reading makes no board


@pytest.mark.parametrize("name", ["missing", "empty"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_query_makes_no_board_and_a_change_reports_that_it_made_it(
    tmp_path: Path, name: str, how: str
) -> None:
    board = tmp_path / name
    if name == "empty":
        board.mkdir()
    words = ["--board", str(board)] if how == "option" else []
    variables = {} if words else {"ORCHESTRATOR_DIR": str(board)}
    shown = orc(tmp_path, *words, "t", "ls", **variables)
    assert (shown.status, shown.out) == (3, "")
    assert str(board) in shown.err
    assert not board.exists() or not any(board.iterdir())
    made = orc(tmp_path, *words, "ws", "create", "w", **variables)
    assert made.status == 0
    assert made.err == f"Warning: There was no board {board}: it was made\n"
    again = orc(tmp_path, *words, "ws", "create", "x", **variables)
    assert (again.status, again.err) == (0, "")


@pytest.mark.parametrize("words", [["--board=~/b"], []])
def test_the_tilde_is_the_home_folder(tmp_path: Path, words: list[str]) -> None:
    variables = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    work = tmp_path / "work"
    work.mkdir()
    if not words:
        variables["ORCHESTRATOR_DIR"] = "~/b"
    assert orc(work, *words, "ws", "create", "w", **variables).status == 0
    assert (tmp_path / "b" / "state").is_dir()
    assert not any(work.iterdir())


OTHER_CHANGES = """
    add next task.review task.reject task.approve task.trust mail.read mail.take
    decision.add decision.edit decision.supersede saved.add saved.remove task.label.remove
    notify.add notify.remove notify.test notify.run
    request mcp.serve agent.template.add events.watch events.retry events.dismiss
    events.archive knowledge.sync
    runner.run runner.start runner.restart runner.stop runner.install mail.deliver dashboard serve
    worktree.add worktree.remove worktree.prune merge.submit merge.run convoy.land copy
    terminal.spawn terminal.attach terminal.nudge terminal.reap terminal.stop
    formula.wisp formula.distill import.file import.opspawn import.beads import.backlog task.batch
"""
"""The commands that change a board beside those of ``tests/stress/situations.py``."""


def test_every_command_that_only_reads_declares_it() -> None:
    lines = [
        [re.sub(r"{(token|letter|job)}", "1", word) for word in command.words]
        for command in COMMANDS
    ]
    changing = {read(line).command for line in lines}
    silent = {path: command for path, command in commands() if command.reads is False}
    unknown = {
        path.replace(" ", ".") for path, command in silent.items() if command not in changing
    }
    assert unknown == set(OTHER_CHANGES.split())


QUERIES = [
    *[
        (path, ())
        for path, command in commands()
        if command.reads is not False
        and path not in ("query", "events check-claim", "guard check", "guard install")
    ],
    ("query", ("SELECT 1",)),
    ("events check-claim", ("--event", "1")),
    ("guard check", ("file.py",)),
    ("guard install", ("--dry-run",)),
    *[("sling", ("x", "ann", "--dry-run")), ("dispatch", ("--dry-run",))],
    *[
        ("handoff", ("--dry-run",)),
        ("runner plan", ("--look",)),
        ("formula pour", ("feature", "--dry-run")),
    ],
]


@pytest.mark.parametrize(("path", "words"), QUERIES, ids=[path for path, _ in QUERIES])
def test_a_query_of_a_board_that_is_not_there_makes_nothing(
    cli: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)  # some of them are about the folder where they run
    command = dict(commands())[path]
    if not words:
        needed = [argument.name for argument in command.arguments if argument.required]
        words = tuple("bash" if name == "shell" else "1" for name in needed)
    folder = tmp_path / "typo"
    shown = cli("--board", str(folder), "--agent", "ann", *path.split(), *words, status=None)
    needs_none = (
        *("completion", "prime", "version", "help", "index metadata", "agent template list"),
        *("mcp tools", "setup", "onboard"),
    )
    needs_git = ("guard install", "guard link")
    wanted = 0 if path in needs_none else 1 if path in needs_git else 3
    assert shown.status == wanted, shown.err
    assert not folder.exists()
