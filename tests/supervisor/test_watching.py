"""Watched files: whole bursts, a single event for a save, none for own files; with inotify and polling."""

import os
import queue
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from orchestrator import Orchestrator, OrchestratorError
from orchestrator.core.errors import TimedOut
from orchestrator.domain.event_log import as_dict
from orchestrator.supervisor import watching as watching_files
from orchestrator.supervisor.watching import (
    SETTLE,
    Exclusion,
    FileChange,
    FileWatcher,
    Listing,
    list_files,
    own_folders,
    push_changes,
)

PATIENCE = 60.0


class Watched:
    """A watched folder, and the delivered changes."""

    def __init__(self, project: Path, poll: float, deliver: Callable | None = None) -> None:
        self.project = project
        self.bursts: queue.Queue[list[FileChange]] = queue.Queue()
        excluded = Exclusion(
            str(project), ["*.tmp", "build/", "!keep.log"], own_folders(str(project))
        )
        self.watcher = FileWatcher([str(project)], excluded, deliver or self.bursts.put, poll=poll)
        self.acting = threading.Lock()

    def after(self, act: Callable[[], object]) -> list[tuple[str, ...]]:
        """The changes that are reported for an act; a second file shows that no more come."""
        with self.acting:
            act()
        first = self.bursts.get(timeout=PATIENCE)
        (self.project / "end").write_text("end")
        rest = []
        while not any(change.path.endswith("/end") for change in rest):
            rest += self.bursts.get(timeout=PATIENCE)
        return [
            (
                change.type.removeprefix("file."),
                *(os.path.relpath(p, self.project) for p in (change.old_path, change.path) if p),
            )
            for change in [*first, *rest]
            if not change.path.endswith("/end")
        ]


@contextmanager
def watching(project: Path, poll: float) -> Iterator[Watched]:
    """Watch a folder; no listing is made in the middle of an act, however slow the machine is."""
    watched = Watched(project, poll)

    def listing(*args: Any) -> Listing:
        with watched.acting:
            return list_files(*args)

    with patch.object(watching_files, "list_files", listing):
        watched.watcher.start()
        try:
            yield watched
        finally:
            watched.watcher.stop()


@pytest.fixture(params=[0.0, 0.05], ids=["system", "polling"])
def poll(request: pytest.FixtureRequest) -> float:
    return request.param


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("one")
    (folder / "state").mkdir()
    return folder


def test_create_modify_rename_and_delete(project: Path, poll: float):
    with watching(project, poll) as watched:
        new = project / "src" / "new.py"
        assert watched.after(lambda: new.write_text("new")) == [("create", "src/new.py")]
        assert watched.after(lambda: new.write_text("newer")) == [("modify", "src/new.py")]
        moved = project / "moved.py"
        assert watched.after(lambda: new.rename(moved)) == [("rename", "src/new.py", "moved.py")]
        assert watched.after(moved.unlink) == [("delete", "moved.py")]


def save_with_rename(path: Path) -> None:
    new = path.with_suffix(".swp")
    new.write_text("saved by rename")
    new.replace(path)


def save_with_backup(path: Path) -> None:
    backup = path.with_suffix(".bak")
    path.rename(backup)
    path.write_text("saved with a backup")
    backup.unlink()


def save_in_place(path: Path) -> None:
    with path.open("w") as file:
        file.write("saved")
        file.flush()
        file.write(" in place")


@pytest.mark.parametrize("save", [save_with_rename, save_with_backup, save_in_place])
def test_the_save_of_an_editor_is_one_event(project: Path, poll: float, save: Callable):
    with watching(project, poll) as watched:
        assert watched.after(lambda: save(project / "src" / "a.py")) == [("modify", "src/a.py")]


def test_a_burst_is_whole(project: Path, poll: float):
    names = {f"burst/{n % 7}/{n}" for n in range(2000)}

    def write() -> None:
        for name in names:
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(name)

    with watching(project, poll) as watched:
        changed = watched.after(write)
        assert sorted(path for kind, path in changed if kind == "create") == sorted(names)
        gone = watched.after(lambda: shutil.rmtree(project / "burst"))
        assert sorted(path for kind, path in gone if kind == "delete") == sorted(names)


def test_what_watchdog_says_of_a_new_folder_that_it_meets_twice_is_not_shown(
    project: Path, recwarn: pytest.WarningsRecorder
):
    with watching(project, 0.0):
        for module in ("watchdog.observers.inotify", "elsewhere"):
            text = "Callback with id '1' already exists for watch 2"
            warnings.warn_explicit(text, RuntimeWarning, "file.py", 1, module)
    assert [warning.filename for warning in recwarn] == ["file.py"]


def test_a_burst_is_over_when_nothing_has_changed_for_a_while(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    watcher = Watched(project, 0.0).watcher
    waits: list[float] = []

    def wait_for(_: Callable[[], bool], seconds: float) -> bool:
        waits.append(seconds)
        watcher._touched += len(waits) < 4  # three more changes come
        return False

    monkeypatch.setattr(watcher._wake, "wait_for", wait_for)
    assert (watcher._settle(), waits) == (3, [SETTLE] * 4)


def test_excluded_and_own_files_are_never_reported(project: Path, poll: float):
    def write() -> None:
        for name in ("state/events.jsonl", "x.tmp", "build/out", "node_modules/m/i.js", "a.log"):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text("x")
        (project / "keep.log").write_text("x")

    with watching(project, poll) as watched:
        assert watched.after(write) == [("create", "keep.log")]


@pytest.mark.parametrize("name", ["ä ü 日本", "two\nlines", '-rf $(x) `y` "z"'])
def test_any_name(project: Path, poll: float, name: str):
    with watching(project, poll) as watched:
        assert watched.after(lambda: (project / name).write_text("x")) == [("create", name)]


def test_links_are_not_followed(project: Path, poll: float, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    with watching(project, poll) as watched:
        assert watched.after(lambda: (project / "link").symlink_to(outside)) == [("create", "link")]
        (outside / "secret").write_text("more")
        assert watched.after(lambda: (project / "b").write_text("x")) == [("create", "b")]


def test_a_folder_that_is_moved_moves_its_files(project: Path, poll: float):
    with watching(project, poll) as watched:
        changed = watched.after(lambda: (project / "src").rename(project / "lib"))
        assert changed == [("rename", "src/a.py", "lib/a.py")]
        (project / "lib" / "a.py").write_text("and is watched there")
        assert watched.bursts.get(timeout=PATIENCE)[0].path == str(project / "lib" / "a.py")


def test_a_watched_folder_that_goes_away_is_watched_again_when_it_is_back(
    project: Path, poll: float
):
    with watching(project, poll) as watched:
        shutil.rmtree(project)
        gone = watched.bursts.get(timeout=PATIENCE)
        assert gone == [FileChange("file.delete", str(project / "src" / "a.py"))]
        project.mkdir()
        (project / "back").write_text("x")
        assert watched.bursts.get(timeout=PATIENCE)[0].path == str(project / "back")
        assert watched.after(lambda: (project / "c").write_text("x")) == [("create", "c")]


def test_a_watched_folder_that_is_replaced_at_once_is_watched_on(project: Path, poll: float):
    with watching(project, poll) as watched:
        for n in range(3):
            shutil.rmtree(project)
            project.mkdir()
            (project / f"{n}").write_text("x")
            told: list[FileChange] = []
            while not any(change.path == str(project / f"{n}") for change in told):
                told += watched.bursts.get(timeout=PATIENCE)


def test_what_could_not_be_delivered_comes_again(project: Path):
    bursts: queue.Queue[list[FileChange]] = queue.Queue()
    calls: list[int] = []

    def deliver(changed: list[FileChange]) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise TimedOut("the board is busy")
        bursts.put(changed)

    watcher = Watched(project, 0.0, deliver).watcher
    watcher.start()
    try:
        (project / "a").write_text("x")
        assert bursts.get(timeout=PATIENCE) == [FileChange("file.create", str(project / "a"))]
    finally:
        watcher.stop()


def test_a_burst_is_one_commit_with_paths_of_the_project(orc: Orchestrator):
    before = orc.engine.read().event
    push_changes(
        orc,
        "/p",
        [
            FileChange("file.create", "/p/a b"),
            FileChange("file.rename", "/p/s/n", "/p/s/\udcff"),
            FileChange("file.delete", "/elsewhere/x"),
        ],
    )
    records = orc.events.read(since=before)
    assert [(r.type, as_dict(r)["payload"], r.more) for r in records] == [
        ("file.create", {"path": "a b"}, True),
        ("file.rename", {"path": "s/n", "old_path": "s/\\xff"}, True),
        ("file.delete", {"path": "/elsewhere/x"}, False),
    ]


def test_the_folder_of_a_board_of_its_own_is_never_watched(tmp_path: Path):
    board = tmp_path / ".orchestrator"
    assert own_folders(str(board)) == [str(board)]
    excluded = Exclusion(str(tmp_path), ["!**"], own_folders(str(board)))
    assert excluded.above(str(board / "state" / ".lock"))
    assert not excluded.above(str(tmp_path / "a"))


def test_a_wrong_pattern_is_refused(tmp_path: Path):
    with pytest.raises(OrchestratorError):
        Exclusion(str(tmp_path), ["!"], [])
