"""Faults that only a file store has: full disks, links, files made by hand, lost folders."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.core import system
from orchestrator.core.errors import Damage, InputOutputError, NoBoard, OutcomeUnknown, Refused
from orchestrator.core.store import START
from orchestrator.stores.files import FileStore, disk

from .building import WAIT, add, file_store, fill, older_store, records, texts_of


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings: list[str]) -> FileStore:
    return FileStore(tmp_path, warn=warnings.append)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.jsonl"


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def half(fd: int, data: bytes) -> int:
    """A write that stores half of the data; the next write reports a full disk."""
    if len(data) < 100:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return os.pwritev(fd, [data[: len(data) // 2]], os.fstat(fd).st_size)


# Writes that fail.


@pytest.mark.parametrize(
    ("where", "name", "fails", "code"),
    [
        (os, "write", failing(errno.ENOSPC), "ENOSPC"),
        (os, "write", half, "ENOSPC"),
        (system, "sync_data", failing(errno.EIO), "EIO"),
        (system, "sync_data", failing(errno.EDQUOT), "EDQUOT"),
    ],
    ids=["full", "full half way", "sync fails", "quota"],
)
def test_a_commit_that_cannot_be_written_leaves_the_log_as_it_was(
    store: FileStore,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    fails: Callable[..., int],
    code: str,
) -> None:
    (position,) = fill(store, ["a"])
    before = log.read_bytes()
    with store.locked("test", WAIT):
        monkeypatch.setattr(where, name, fails)
        with pytest.raises(InputOutputError, match=str(log)) as raised:
            add(store, position, "b")
        monkeypatch.undo()
        assert log.read_bytes() == before
        add(store, position, "c")
    assert raised.value.details["errno"] == code
    assert os.strerror(getattr(errno, code)) in raised.value.message
    assert texts_of(store) == ["a", "c"]


def test_a_commit_that_cannot_be_taken_back_is_of_unknown_outcome(
    store: FileStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (position,) = fill(store, ["a"])
    with store.locked("test", WAIT):
        monkeypatch.setattr(system, "sync_data", failing(errno.EIO))
        monkeypatch.setattr(os, "ftruncate", failing(errno.EIO))
        with pytest.raises(OutcomeUnknown, match="not known whether") as raised:
            add(store, position, "b")
    assert "request id" in raised.value.hint
    assert raised.value.exit_status == 75


def test_a_failed_sync_is_never_tried_again(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel marks the pages clean: a second sync would succeed and prove nothing."""
    (position,) = fill(store, ["a"])
    calls = []

    def sync(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "")

    with store.locked("test", WAIT):
        monkeypatch.setattr(system, "sync_data", sync)
        with pytest.raises(InputOutputError):
            add(store, position, "b")
    assert len(calls) == 1


def test_an_interrupt_before_the_commit_is_synced_takes_it_back(
    store: FileStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (position,) = fill(store, ["a"])

    def interrupt(fd: int) -> None:
        raise KeyboardInterrupt

    with store.locked("test", WAIT):
        monkeypatch.setattr(system, "sync_data", interrupt)
        with pytest.raises(KeyboardInterrupt):
            add(store, position, "b")
    assert log.stat().st_size == position.end


def test_a_write_beside_the_lock_makes_the_outcome_unknown_and_is_not_cut(
    store: FileStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (position,) = fill(store, ["a"])

    def sync(fd: int) -> None:
        with log.open("ab") as file:
            file.write(b"of somebody")

    with store.locked("test", WAIT):
        monkeypatch.setattr(system, "sync_data", sync)
        with pytest.raises(OutcomeUnknown):
            add(store, position, "b")
    assert log.read_bytes().endswith(b"of somebody")


@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(True, id="first commit"),
        pytest.param(False, id="sealing", marks=pytest.mark.needs("sealing")),
    ],
)
def test_a_segment_that_cannot_be_begun_leaves_the_log_as_it_was(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, name: str, first: bool
) -> None:
    store = FileStore(tmp_path, segment_size=1, warn=print)
    position = START if first else fill(store, ["a"])[0]
    with store.locked("test", WAIT):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing(errno.ENOSPC))
            with pytest.raises(InputOutputError, match="No space left"):
                add(store, position, "b")
        assert not (tmp_path / "state" / "events.jsonl.new").exists()
        add(store, position, "c")
    assert texts_of(store) == ["c"] if first else ["a", "c"]


def test_without_hard_links_a_segment_grows_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path, segment_size=1, warn=print)
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    positions = fill(store, ["a"], ["b"], ["c"])
    assert {position.segment for position in positions} == {1}
    assert texts_of(store) == ["a", "b", "c"]


def test_a_real_file_size_limit_is_named_and_changes_nothing(tmp_path: Path, log: Path) -> None:
    """In a separate process: half of the commit fits, the kernel refuses the rest."""
    store = FileStore(tmp_path, warn=print)
    (position,) = fill(store, ["a"])
    before = log.read_bytes()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 2000, len(before) + 2000))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            child = FileStore(tmp_path, warn=print)
            with child.locked("test", WAIT):
                try:
                    child.append(records(position, "b" * 5000), position)
                except InputOutputError as error:
                    status = 0 if error.details["errno"] == "EFBIG" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert log.read_bytes() == before


def test_a_commit_is_synced_before_append_returns(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (position,) = fill(store, ["a"])
    synced = []
    monkeypatch.setattr(system, "sync_data", lambda fd: synced.append(os.fstat(fd).st_size))
    with store.locked("test", WAIT):
        end = add(store, position, "b").end
        assert synced == [end]


def test_what_a_killed_writer_left_unsynced_is_synced_before_it_is_read(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are whole, but perhaps only in memory, and the reader may act on them."""
    fill(store, ["a"])
    pid = os.fork()
    if pid == 0:
        child = FileStore(tmp_path, warn=print)
        with child.locked("killed", WAIT):
            os._exit(0)
    os.waitpid(pid, 0)
    synced = []
    monkeypatch.setattr(system, "sync_data", synced.append)
    for _ in range(2):
        with store.locked("test", WAIT):
            list(store.read(START))
    assert len(synced) == 1


@pytest.mark.needs("sealing")
def test_a_segment_is_synced_before_it_is_sealed(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed writer may have left whole lines only in memory, and a sealed file is not synced again."""
    store = FileStore(tmp_path, segment_size=1, warn=print)
    (position,) = fill(store, ["a"])
    sealed, calls = log.stat().st_ino, []
    link, sync_data = os.link, system.sync_data

    def linking(source: str, target: str, **options: bool) -> None:
        calls.append(("seal", os.stat(source).st_ino))
        link(source, target, **options)

    def syncing(fd: int) -> None:
        sync_data(fd)
        calls.append(("sync", os.fstat(fd).st_ino))

    monkeypatch.setattr(os, "link", linking)
    monkeypatch.setattr(system, "sync_data", syncing)
    with store.locked("test", WAIT):
        add(store, position, "b")
    assert calls == [("sync", sealed), ("seal", sealed)]


def test_a_segment_that_cannot_be_synced_is_not_sealed(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path, segment_size=1, warn=print)
    (position,) = fill(store, ["a"])
    with store.locked("test", WAIT):
        monkeypatch.setattr(system, "sync_data", failing(errno.EIO))
        with pytest.raises(InputOutputError, match="Could not sync"):
            add(store, position, "b")
    assert sorted(path.name for path in log.parent.glob("events*")) == [log.name]


def test_a_snapshot_of_another_time_is_old(tmp_path: Path, store: FileStore) -> None:
    """Also a snapshot from the future: after the clock was set back, it must still be replaced."""
    store.save_snapshot(b"{}")
    for distance in (-86400, 86400):
        moment = time.time() + distance
        os.utime(tmp_path / "state" / "state.json", (moment, moment))
        assert store.snapshot_age() > 3600


# Links and strange files.


def test_a_link_in_place_of_a_file_is_refused_and_its_target_unchanged(
    tmp_path: Path, store: FileStore
) -> None:
    fill(store, ["a"])
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    (tmp_path / "knowledge").mkdir()
    for path, actions in {
        "knowledge/topic.md": [
            lambda: store.documents.write("knowledge/topic.md", b"x"),
            lambda: store.documents.read("knowledge/topic.md"),
        ],
        "state/state.json": [lambda: store.save_snapshot(b"x"), store.open_snapshot],
    }.items():
        (tmp_path / path).symlink_to(target)
        for action in actions:
            with pytest.raises(Refused, match="symbolic link") as raised:
                action()
            assert raised.value.code == "symlink"
        assert (tmp_path / path).is_symlink()
    assert target.read_bytes() == b"mine"
    assert store.documents.names("knowledge") == []


@pytest.mark.parametrize("kind", [file_store, older_store])
def test_a_link_in_place_of_the_lock_or_the_log_is_refused(
    tmp_path: Path, kind: Callable[[Path], FileStore]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    store = kind(tmp_path)
    (state / "events.jsonl").symlink_to(target)
    with store.locked("test", WAIT), pytest.raises(Refused, match="symbolic link"):
        add(store, START, "a")
    with pytest.raises(Refused, match="symbolic link"):
        list(store.read(START))
    (state / ".lock").unlink()
    (state / ".lock").symlink_to(target)
    with pytest.raises(Refused, match="symbolic link"), store.locked("test", WAIT):
        pass
    assert target.read_bytes() == b"mine"


def test_presence_never_follows_a_link_and_never_fails(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    target.touch()
    os.utime(target, (1, 1))
    presence = tmp_path / "state" / "presence"
    presence.mkdir(parents=True)
    (presence / "ann").symlink_to(target)
    store.presence.touch("ann")
    monkeypatch.setattr(os, "open", failing(errno.ENOSPC))
    store.presence.touch("bob")
    assert target.stat().st_mtime == 1
    assert store.presence.seen() == {}


def test_presence_that_cannot_be_read_is_a_warning_and_a_refusal_where_it_decides(
    tmp_path: Path, store: FileStore, warnings: list[str]
) -> None:
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "presence").write_text("no folder")
    assert store.presence.seen() == {}
    assert len(warnings) == 1
    with pytest.raises(InputOutputError):
        store.presence.seen(needed=True)


def test_work_is_not_dispatched_while_presence_is_unknown(tmp_path: Path) -> None:
    """An empty dispatch would be stored as the answer to the request, also for its repetition."""
    with Orchestrator.open(tmp_path / "board") as orc:
        orc.workstreams.create("build")
        task = orc.tasks.add("build", title="x").id
        orc.agents.register("ann")
        presence = tmp_path / "board" / "state" / "presence"
        shutil.rmtree(presence)
        presence.write_text("no folder")
        with pytest.raises(InputOutputError), orc.request("d1"):
            orc.dispatch.run(agent="boss")
        presence.unlink()
        orc.agents.heartbeat("ann")
        with orc.request("d1"):
            assert [assignment.task for assignment in orc.dispatch.run(agent="boss")] == [task]


def test_documents_are_the_regular_visible_files(tmp_path: Path, store: FileStore) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    for name in ("a.md", ".hidden.md", "b.txt", ".a.md.17-0.new"):
        (knowledge / name).touch()
    (knowledge / "folder.md").mkdir()
    (knowledge / "link.md").symlink_to(knowledge / "a.md")
    assert store.documents.names("knowledge") == ["a.md", "b.txt"]


@pytest.mark.needs("fifo")
def test_a_fifo_in_place_of_a_document_does_not_block(tmp_path: Path, store: FileStore) -> None:
    (tmp_path / "knowledge").mkdir()
    os.mkfifo(tmp_path / "knowledge" / "topic.md")
    with pytest.raises(Refused, match="not a regular file"):
        store.documents.read("knowledge/topic.md")


def test_a_replaced_file_is_whole_or_as_it_was(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.documents.write("knowledge/topic.md", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(InputOutputError, match="No space left"):
            store.documents.write("knowledge/topic.md", b"new")
    assert store.documents.read("knowledge/topic.md") == b"old"
    assert [entry.name for entry in (tmp_path / "knowledge").iterdir()] == ["topic.md"]


def test_a_folder_that_is_not_a_board_is_never_made_by_a_write(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "nowhere", warn=print)
    with pytest.raises(NoBoard, match="does not exist"), store.locked("test", WAIT):
        pass
    store.presence.touch("ann")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("turns", [1, 6], ids=["first tries", "queued"])
@pytest.mark.parametrize("kind", [file_store, older_store])
def test_a_link_in_place_of_the_state_folder_of_an_open_board_is_refused_at_once(
    tmp_path: Path, kind: Callable[[Path], FileStore], turns: int
) -> None:
    """Nothing is created or changed at the target of the link, and the command waits for no lock."""
    store = kind(tmp_path)
    for _ in range(turns):
        fill(store, ["a"])
    (tmp_path / "state").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    for _ in range(turns):
        with pytest.raises(Refused, match="state is a symbolic link") as raised:
            fill(store, ["b"])
        assert raised.value.code == "symlink"
    with pytest.raises(Refused, match="state is a symbolic link"):
        store.save_snapshot(b"{}")
    store.presence.touch("ann")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("kind", [file_store, older_store])
def test_a_state_folder_that_is_gone_from_an_open_board_is_named_and_not_made_anew(
    tmp_path: Path, kind: Callable[[Path], FileStore]
) -> None:
    store = kind(tmp_path)
    positions = fill(store, ["a"], ["b"])
    (tmp_path / "state").rename(tmp_path / "moved")
    for _ in range(6):
        with pytest.raises(InputOutputError, match="No such file") as raised:
            fill(store, ["c"])
        assert str(tmp_path / "state") in raised.value.message
    with pytest.raises(Damage, match="not in the log any more"):
        list(store.read(positions[-1]))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("name", ["listdir", "lstat", "scandir"])
def test_a_disk_that_does_not_answer_is_not_an_empty_folder(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fill(store, ["a"])
    store.documents.write("knowledge/topic.md", b"x")
    looks: dict[str, Callable[[], object]] = {
        "listdir": lambda: disk.names_in(str(tmp_path)),
        "lstat": lambda: texts_of(FileStore(tmp_path, warn=print)),
        "scandir": lambda: store.documents.names("knowledge"),
    }
    monkeypatch.setattr(os, name, failing(errno.EIO))
    with pytest.raises(InputOutputError, match="Input/output error"):
        looks[name]()


# Where a board may be.


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "ceph"])
def test_a_network_file_system_is_refused(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(system, "file_system_kind", lambda folder: kind)
    with pytest.raises(Refused, match=f"network file system \\({kind}\\)") as raised:
        fill(store, ["a"])
    assert raised.value.code == "network_file_system"


def test_a_file_system_of_unknown_kind_is_warned_of_once(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setattr(system, "file_system_kind", lambda folder: "fuse.something")
    fill(store, ["a"])
    fill(store, ["b"])
    (warning,) = warnings
    assert "fuse.something" in warning


@pytest.mark.needs("proc")
def test_the_kind_is_read_from_the_table_of_mounts(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    mine = (
        f"30 1 {os.major(device)}:{os.minor(device)} / {tmp_path} rw shared:1 - nfs4 host:/x rw\n"
    )
    table.write_text("29 1 0:999 / / rw - ext4 /dev/a rw\n" + mine)
    assert system.file_system_kind(str(tmp_path), str(table)) == "nfs4"
    # A device that no line names (btrfs): the longest mount point above the folder counts.
    table.write_text(
        "29 1 0:999 / / rw - ext4 /dev/a rw\n"
        f"30 1 0:998 / {tmp_path.parent.resolve()} rw - btrfs /dev/b rw\n"
    )
    assert system.file_system_kind(str(tmp_path), str(table)) == "btrfs"
    assert system.file_system_kind(str(tmp_path), str(tmp_path / "none")) == ""


@pytest.mark.needs("flock")
def test_a_store_imports_nothing_heavy() -> None:
    """One-shot commands import this module; filelock alone costs more than all of their work."""
    code = (
        "import sys, orchestrator.stores.files;"
        "print([m for m in ('filelock', 'pathlib', 'logging', 'tempfile', 'hashlib', 'subprocess',"
        " 'json') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert out.stdout.strip() == "[]"
