"""``system.FileAlarm`` rings for every way in which the log or a folder can change."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core import system
from orchestrator.core.system.polling import PollingAlarm

PATIENCE = 60.0


def appended(folder: Path) -> None:
    with (folder / "file").open("a") as file:
        file.write("more")


def replaced(folder: Path) -> None:
    (folder / "new").write_text("other")
    os.replace(folder / "new", folder / "file")


def deleted(folder: Path) -> None:
    (folder / "file").unlink()


def linked(folder: Path) -> None:
    os.link(folder / "file", folder / "second")


@pytest.mark.parametrize("change", [appended, replaced, deleted, linked])
@pytest.mark.parametrize("watched", ["file", "."])
def test_it_rings_for_a_change(tmp_path: Path, change: Callable[[Path], None], watched: str):
    (tmp_path / "file").write_text("text")
    alarm = system.FileAlarm([str(tmp_path / watched)])
    change(tmp_path)
    assert alarm.wait(PATIENCE)
    alarm.close()


def test_without_a_change_it_does_not_ring(tmp_path: Path):
    alarm = system.FileAlarm([str(tmp_path)])
    assert alarm.wait(0.01) is not alarm.is_told
    (tmp_path / "file").write_text("text")
    assert alarm.wait(PATIENCE)
    alarm.close()


def test_a_wait_in_another_thread_ends_when_it_is_rung(tmp_path: Path):
    alarm = system.FileAlarm([str(tmp_path)])
    thread = threading.Thread(target=alarm.wait, args=(PATIENCE,))
    thread.start()
    alarm.ring()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    alarm.close()


def test_what_is_not_there_is_not_reported(tmp_path: Path):
    alarm = system.FileAlarm([str(tmp_path), str(tmp_path / "none")])
    assert not alarm.is_told
    assert alarm.wait(0.01)
    alarm.close()


def test_where_the_system_reports_nothing_it_is_always_time_to_look(tmp_path: Path):
    alarm = PollingAlarm([str(tmp_path)])
    assert not alarm.is_told
    assert alarm.wait(0.01)
