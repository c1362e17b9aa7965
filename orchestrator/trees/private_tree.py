"""The worktree of a runner of the merge queue, in which merged files are tested.

Each runner has a place of its own, which a lock keeps: ``.merge-queue-b81e3c05-0`` beside the other
worktrees. The middle part stands for the repository, because several may have their worktrees in one folder.
The system gives the lock up when its process ends in any way, so the next runner knows at once that one was
killed. It removes what that one has left there, its files and the processes of its tests that still run, and
reads its note, which names the submissions that it had claimed.
"""

import glob
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError
from orchestrator.core.git import Git, GitFailed
from orchestrator.core.git_worktrees import belongs
from orchestrator.core.processes import MARK
from orchestrator.core.trust import digest_of
from orchestrator.domain.tasks.verification import run_command
from orchestrator.trees.making import LONGEST
from orchestrator.trees.merging import UNATTENDED

_NAME = ".merge-queue-"
_PLACES = 64
_LONGEST_NOTE = 1024 * 1024


class FailedTest(msgspec.Struct, frozen=True):
    """A test that did not pass.

    Attributes:
        command: Its words.
        problem: How it ended.
        tail: The end of its output.
    """

    command: str
    problem: str
    tail: str


class PrivateTree:
    """A worktree that no other process uses, without a branch.

    Args:
        folder: The folder of the worktree.
        git: The repository, in git's folder, which all worktrees share.
        lock: The locked file of its place.
    """

    def __init__(self, folder: str, git: Git, lock: int) -> None:
        self.folder = os.path.abspath(folder)
        self._lock = lock
        self.git = Git(self.folder, settings=UNATTENDED)
        self._repository = git
        self._common = os.path.realpath(git.folder)
        self._mark = f"merge-queue {folder}"
        self._is_made = False

    def show(self, commit: str) -> None:
        """Have the files of a commit, and no others: what a test has left is removed, ignored files too."""
        # Git would look for another worktree above one whose file `.git` a test has deleted.
        if self._is_made and belongs(self.folder, self._common):
            with suppress(GitFailed):  # a test has damaged the worktree
                self.git.run("clean", "-ffdxq", timeout=LONGEST)
                self.git.run("checkout", "--force", "--detach", "-q", commit, timeout=LONGEST)
                return
        self.remove()
        words = ("worktree", "add", "--force", "--force", "--detach", "--quiet")
        self._repository.run(*words, self.folder, commit, timeout=LONGEST)
        self._is_made = True

    def run(
        self,
        commands: Sequence[str],
        *,
        variables: Mapping[str, str],
        timeout: float,
        look: Callable[[], object],
    ) -> FailedTest | None:
        """Run tests until one fails; return that one.

        Args:
            commands: Each a program and its arguments; no shell reads them.
            variables: More variables for them.
            timeout: Seconds after which one is killed, with all processes of its group.
            look: Called repeatedly meanwhile; an exception kills the test.
        """
        marked = {**variables, MARK: self._mark}
        try:
            for command in commands:
                ended = run_command(command, self.folder, marked, timeout, look)
                if not ended.passed:
                    return FailedTest(command, ended.problem, ended.output)
        finally:
            self.end_processes()
        return None

    def end_processes(self) -> None:
        """Kill what the tests have started and left behind, also outside of their group."""
        for pid in system.processes_with(MARK, self._mark):
            system.kill_group(pid)

    def note(self, data: bytes) -> None:
        """Keep data for the runner that finds this one killed."""
        os.ftruncate(self._lock, 0)
        os.lseek(self._lock, 0, os.SEEK_SET)
        os.write(self._lock, data)

    def remove(self) -> None:
        """Remove the worktree."""
        self._is_made = False
        if os.path.islink(self.folder) or os.path.isfile(self.folder):
            os.unlink(self.folder)
        elif os.path.isdir(self.folder):
            _remove_folder(self.folder)

    def forget(self) -> None:
        """Remove the worktree, and what git knows of it."""
        self.remove()
        self._repository.run("worktree", "remove", "--force", "--force", self.folder, accepted=None)
        self.note(b"")


@contextmanager
def private_tree(repository: Git, common: str, folder: str) -> Iterator[PrivateTree]:
    """Have a worktree of one's own, until the end.

    Args:
        repository: The repository.
        common: Git's folder, which all worktrees share.
        folder: Where its worktrees are; made if it does not exist.

    Raises:
        InputOutputError: The folder cannot be written, or all places are taken.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        fd, number = _free_place(common)
    except OSError as error:
        raise InputOutputError(f"{error.filename!a} cannot be used: {error.strerror}") from None
    place = os.path.join(folder, f"{_prefix(common)}{number}")
    tree = PrivateTree(place, repository, fd)
    try:
        tree.end_processes()
        try:
            yield tree
        finally:
            tree.forget()
    finally:
        os.close(fd)


def left_notes(repository: Git, common: str, folder: str) -> Iterator[bytes]:
    """Remove the worktrees of runners that were killed, with the processes of their tests.

    Args:
        repository: The repository.
        common: Git's folder, which all worktrees share.
        folder: Where its worktrees are.

    Yields:
        The note of each one; it is kept until the next one is asked for.
    """
    for path in glob.glob(_lock_path(glob.escape(common), "*")):
        number = path.rpartition("-")[2].removesuffix(".lock")
        if not number.isdecimal() or (fd := _locked(common, int(number))) is None:
            continue
        try:
            place = os.path.join(folder, f"{_prefix(common)}{number}")
            note = os.read(fd, _LONGEST_NOTE)
            if note or os.path.lexists(place):
                tree = PrivateTree(place, repository, fd)
                tree.end_processes()
                yield note
                tree.forget()
        finally:
            os.close(fd)


def _prefix(common: str) -> str:
    return f"{_NAME}{digest_of(os.fsencode(os.path.realpath(common)))[:8]}-"


def _lock_path(common: str, number: int | str) -> str:
    return os.path.join(common, "orchestrator", f"merge-queue-{number}.lock")


def _locked(common: str, number: int) -> int | None:
    """The lock of a place; None if a runner has it."""
    path = _lock_path(common, number)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = system.open_file(path, os.O_RDWR | os.O_CREAT)
    if system.try_lock(fd):
        return fd
    os.close(fd)
    return None


def _free_place(common: str) -> tuple[int, int]:
    """The lock of the first place that no runner has, and its number."""
    for number in range(_PLACES):
        if (fd := _locked(common, number)) is not None:
            return fd, number
    raise InputOutputError(f"{_PLACES} runners of the merge queue run in this repository")


def _remove_folder(folder: str) -> None:
    """Remove a folder, also where a test has made folders that cannot be written."""

    def open_up(_function: object, path: str, _error: object) -> None:
        for place in (os.path.dirname(path), path):
            if not os.path.islink(place) and os.path.isdir(place):
                os.chmod(place, stat.S_IRWXU)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    try:
        shutil.rmtree(folder, onerror=open_up)
    except OSError as error:
        raise InputOutputError(f"{folder!a} cannot be removed: {error.strerror}") from None
