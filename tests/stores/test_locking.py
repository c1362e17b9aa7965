"""Only one writer at a time, with any kind of lock, even if the lock file is deleted."""

import errno
import os
import signal
import subprocess
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import filelock
import pytest

from orchestrator.core.errors import InputOutputError, TimedOut
from orchestrator.core.store import START
from orchestrator.stores.files import FileStore
from orchestrator.stores.files.turn_queue import TurnQueue

from .building import WAIT, add, end_of, file_store, fill, older_store, texts_of

fcntl = pytest.importorskip("fcntl", reason="locks of other programs are flocks here")
pytestmark = pytest.mark.needs("fork")


class Child:
    """A forked process: it runs ``work(child)`` and exchanges single bytes with its parent."""

    def __init__(self, work: Callable[["Child"], object]) -> None:
        from_parent, to_child = os.pipe()
        from_child, to_parent = os.pipe()
        self.pid = os.fork()
        self._ends = (from_child, to_child) if self.pid else (from_parent, to_parent)
        for end in (from_parent, to_parent) if self.pid else (from_child, to_child):
            os.close(end)
        if self.pid == 0:
            self._run(work)

    def _run(self, work: Callable[["Child"], object]) -> None:
        status = 1
        try:
            work(self)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def tell(self) -> None:
        os.write(self._ends[1], b".")

    def hear(self) -> None:
        assert os.read(self._ends[0], 1) == b"."

    def join(self) -> int:
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        for end in self._ends:
            os.close(end)
        return status


Taker = Callable[[Path], AbstractContextManager[object]]
Kind = Callable[..., FileStore]


def board(folder: Path) -> AbstractContextManager[object]:
    return file_store(folder).locked("board", 0)


def older(folder: Path) -> AbstractContextManager[object]:
    return older_store(folder).locked("older", 0)


def library(folder: Path) -> AbstractContextManager[object]:
    return filelock.FileLock(folder / "state" / ".lock", timeout=0)


@contextmanager
def system_call(folder: Path) -> Iterator[None]:
    with (folder / "state" / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


TAKERS: list[Taker] = [board, older, library, system_call]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.mark.parametrize("holder", TAKERS)
@pytest.mark.parametrize("other", TAKERS)
def test_every_way_to_lock_excludes_every_other(folder: Path, holder: Taker, other: Taker) -> None:
    def hold(me: Child) -> None:
        with holder(folder):
            me.tell()
            me.hear()

    child = Child(hold)
    child.hear()
    with pytest.raises((TimedOut, filelock.Timeout, BlockingIOError)), other(folder):
        pass
    child.tell()
    assert child.join() == 0
    with other(folder):
        pass


@pytest.mark.parametrize("holder", [library, system_call])
def test_a_program_that_deletes_the_lock_file_on_release_is_kept_out_and_keeps_out(
    folder: Path, holder: Taker
) -> None:
    """Some versions of filelock did; the file that a store has open is another one then."""
    store = file_store(folder)

    def hold(me: Child) -> None:
        for _ in range(2):
            me.hear()
            with holder(folder):
                me.tell()
                me.hear()
                (folder / "state" / ".lock").unlink()
            me.tell()
        me.hear()
        with pytest.raises((filelock.Timeout, BlockingIOError)), holder(folder):
            pass
        me.tell()

    with store.locked("before", 0):
        pass
    child = Child(hold)
    for _ in range(2):
        child.tell()
        child.hear()
        with pytest.raises(TimedOut), store.locked("meanwhile", 0):
            pass
        child.tell()
        child.hear()
        with store.locked("after", 0):
            pass
    with store.locked("at the end", 0):
        child.tell()
        child.hear()
    assert child.join() == 0


@pytest.mark.needs("flock")
@pytest.mark.parametrize("other", [board, older])
def test_the_folder_excludes_when_the_lock_file_is_deleted(folder: Path, other: Taker) -> None:
    with file_store(folder).locked("first", 0):
        (folder / "state" / ".lock").unlink()
        with pytest.raises(TimedOut), other(folder):
            pass


def test_a_timeout_names_pid_command_and_time_of_the_holder(folder: Path) -> None:
    def hold(me: Child) -> None:
        with file_store(folder).locked("tasks.claim", 0):
            me.tell()
            me.hear()

    child = Child(hold)
    child.hear()
    sentence = rf"locked by pid {child.pid} \(`tasks\.claim`\), since 20\d\d-.*Z; waited 0 s"
    with pytest.raises(TimedOut, match=sentence) as raised, board(folder):
        pass
    assert raised.value.exit_status == 5
    child.tell()
    assert child.join() == 0


def test_a_stopped_holder_is_reported_as_stopped(folder: Path) -> None:
    def hold(me: Child) -> None:
        with board(folder):
            me.tell()
            me.hear()

    child = Child(hold)
    child.hear()
    os.kill(child.pid, signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)
    with pytest.raises(TimedOut, match="that process is stopped"), board(folder):
        pass
    os.kill(child.pid, signal.SIGCONT)
    child.tell()
    assert child.join() == 0


@pytest.mark.needs("flock")
def test_a_holder_that_has_ended_is_reported_as_ended(folder: Path) -> None:
    """A forked child keeps its parent's lock; the pid of the parent is invalid then."""

    def work(me: Child) -> None:
        hold = file_store(folder).locked("test", 0)
        hold.__enter__()
        if os.fork() == 0:
            me.tell()
            me.hear()  # until the test ends
        os._exit(0)

    child = Child(work)
    child.hear()
    os.waitpid(child.pid, 0)
    with pytest.raises(TimedOut, match="that process is gone"), board(folder):
        pass
    child.tell()


def test_a_holder_without_a_name_is_reported_as_unknown(folder: Path) -> None:
    with board(folder):
        pass
    with (
        system_call(folder),
        pytest.raises(TimedOut, match="by an unknown process"),
        board(folder),
    ):
        pass


@pytest.mark.parametrize("command", ["a\nb\x1b[31m", 'quote " \\ slash', "é" * 500, "\ud800"])
def test_any_text_may_be_the_command_that_holds_the_lock(folder: Path, command: str) -> None:
    with file_store(folder).locked(command, 0):
        assert (folder / "state" / ".holder").stat().st_size == 512
        with pytest.raises(TimedOut, match="locked by pid") as raised, board(folder):
            pass
    assert raised.value.message.isprintable()
    assert raised.value.message.isascii()


@pytest.mark.parametrize("left", [b"", b"{", b"[1]", b'{"held":1}', b'{"held":1,"pid":"x"}'])
def test_a_damaged_note_of_the_holder_has_no_effect(folder: Path, left: bytes) -> None:
    (folder / "state" / ".holder").write_bytes(left)
    with system_call(folder), pytest.raises(TimedOut, match="an unknown process"), board(folder):
        pass
    with board(folder):
        pass


def test_the_lock_of_a_killed_process_is_free(folder: Path) -> None:
    def hold(me: Child) -> None:
        with board(folder):
            me.tell()
            me.hear()

    child = Child(hold)
    child.hear()
    os.kill(child.pid, signal.SIGKILL)
    assert child.join() == -signal.SIGKILL
    with board(folder):
        pass


@pytest.mark.parametrize("taker", [board, older])
def test_a_started_program_does_not_inherit_the_lock(folder: Path, taker: Taker) -> None:
    def work(me: Child) -> None:
        hold = taker(folder)
        hold.__enter__()
        # It lives as long as the test keeps its end of the pipe that the program inherits as stdin.
        subprocess.Popen(["cat"], stdin=me._ends[0], stdout=subprocess.DEVNULL, close_fds=False)
        os._exit(0)

    child = Child(work)
    os.waitpid(child.pid, 0)
    with board(folder):
        pass
    os.close(child._ends[1])


@pytest.mark.parametrize("kind", [file_store, older_store])
def test_a_forked_child_has_not_its_parents_lock_and_cannot_give_it_back(
    folder: Path, kind: Kind
) -> None:
    store = kind(folder)
    hold = store.locked("parent", 0)

    def try_it(me: Child) -> None:
        hold.__exit__(None, None, None)
        with pytest.raises(RuntimeError):
            add(store, START, "not mine")
        with pytest.raises(TimedOut), store.locked("child", 0):
            pass

    with hold:
        assert Child(try_it).join() == 0
        with pytest.raises(TimedOut), board(folder):
            pass


@pytest.mark.parametrize("kind", [file_store, older_store])
@pytest.mark.parametrize("failures", [1, 3])
def test_an_unlock_that_fails_hinders_the_same_object_only_as_long_as_it_fails(
    folder: Path, failures: int, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = kind(folder), fcntl.flock
    left = failures

    def flock(file: int, operation: int) -> None:
        nonlocal left
        if operation == fcntl.LOCK_UN and left:
            left -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(file, operation)

    with store.locked("first", 0):
        monkeypatch.setattr(fcntl, "flock", flock)
    while left:
        with suppress(InputOutputError, TimedOut), store.locked("meanwhile", 0):
            pass
    with store.locked("second", 0):
        pass
    with library(folder):
        pass


@pytest.mark.needs("flock")
def test_a_lost_lock_file_loses_no_commit(folder: Path) -> None:
    """Four writers of both kinds, while another process deletes the lock file in a loop."""
    commits = 40

    def remove(me: Child) -> None:
        os.set_blocking(me._ends[0], False)
        while True:
            for name in (".lock", ".holder"):
                (folder / "state" / name).unlink(missing_ok=True)
            try:
                os.read(me._ends[0], 1)
            except BlockingIOError:
                continue
            return

    def write(name: str, kind: Kind) -> Callable[[Child], None]:
        def work(me: Child) -> None:
            store = kind(folder, segment_size=5000)
            position = START
            for _ in range(commits):
                with store.locked(name, WAIT):
                    position = end_of(store, position)
                    position = add(store, position, name, name)

        return work

    remover = Child(remove)
    writers = [Child(write(f"writer {n}", older_store if n % 2 else file_store)) for n in range(4)]
    assert [writer.join() for writer in writers] == [0, 0, 0, 0]
    remover.tell()
    assert remover.join() == 0
    written = Counter(texts_of(file_store(folder)))
    assert written == {f"writer {n}": 2 * commits for n in range(4)}


def test_readers_beside_writers_see_whole_commits_only(folder: Path) -> None:
    """Without the lock, while segments are sealed: never damage, never half of a commit."""
    fill(file_store(folder), ["x", "x", "x"])

    def write(me: Child) -> None:
        store = file_store(folder, segment_size=3000)
        for _ in range(150):
            fill(store, ["x", "x", "x"])

    child = Child(write)
    store = file_store(folder)
    position = START
    while position.id < 453:
        position = end_of(store, position)
        assert position.id % 3 == 0
        newest = next(store.read_backwards())
        assert newest.id % 3 == 0
        assert store.event(newest.id).id == newest.id
    assert child.join() == 0
    assert end_of(store).id == 453


def test_the_state_folder_may_be_replaced_under_a_running_program(folder: Path) -> None:
    """The lock is on the folder at the path, not on a folder that was moved away."""
    store = file_store(folder)
    with store.locked("test", 0):
        pass
    (folder / "state").rename(folder / "old")
    (folder / "state").mkdir()
    with store.locked("test", WAIT), pytest.raises(TimedOut), board(folder):
        pass


def _wait_in_line(folder: Path, pid: int) -> None:
    """Wait until the process holds or awaits the lock of the queue, by the kernel's list of locks."""
    while True:
        queue = folder / "state" / ".queue"
        inode = queue.stat().st_ino if queue.exists() else 0
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.replace("->", "").split()
            if fields[1] == "FLOCK" and fields[4] == str(pid) and fields[5].endswith(f":{inode}"):
                return
        time.sleep(0.01)


@pytest.mark.needs("flock", "locks")
def test_who_waits_gets_the_lock_in_the_order_of_coming(folder: Path) -> None:
    def take(number: int) -> Callable[[Child], None]:
        def work(me: Child) -> None:
            with (
                file_store(folder).locked("test", WAIT),
                (folder / "order").open("a") as file,
            ):
                file.write(f"{number}\n")

        return work

    children = []
    with board(folder):
        for number in range(8):
            children.append(Child(take(number)))
            _wait_in_line(folder, children[-1].pid)
    assert [child.join() for child in children] == [0] * 8
    assert (folder / "order").read_text().split() == [str(number) for number in range(8)]


@pytest.mark.needs("flock", "locks")
def test_a_stopped_process_that_is_next_blocks_no_other(folder: Path) -> None:
    def take(me: Child) -> None:
        with file_store(folder).locked("test", WAIT):
            pass

    with board(folder):
        stopped = Child(take)
        _wait_in_line(folder, stopped.pid)
        os.kill(stopped.pid, signal.SIGSTOP)
        os.waitpid(stopped.pid, os.WUNTRACED)
        other = Child(take)
        _wait_in_line(folder, other.pid)
    assert other.join() == 0
    os.kill(stopped.pid, signal.SIGCONT)
    assert stopped.join() == 0


@pytest.mark.needs("flock", "locks")
def test_an_abandoned_place_in_the_queue_is_passed_on(folder: Path) -> None:
    """Also in a program that continues after a timeout, and waits again in the same place."""

    def be_next(me: Child) -> None:
        with file_store(folder).locked("test", WAIT):
            me.tell()
            me.hear()

    store = file_store(folder)
    before = threading.active_count()
    with board(folder):
        child = Child(be_next)
        _wait_in_line(folder, child.pid)
        for _ in range(3):
            with pytest.raises(TimedOut), store.locked("test", 0):
                pass
        assert threading.active_count() <= before + 1
    child.hear()
    queue = TurnQueue(str(folder / "state" / ".queue"))
    queue.join()
    assert queue.is_next(WAIT)
    queue.leave()
    child.tell()
    assert child.join() == 0
    with store.locked("test", WAIT):
        pass
