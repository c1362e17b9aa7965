"""Files in the folder of the user, which say what a board and its agents may do on this machine.

They are not in the board, because a board comes with a repository: its authors may be strangers. An agent
that an event has started cannot change them.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, Refused, TimedOut
from orchestrator.core.files import open_file, read_whole
from orchestrator.core.paths import inside

T = TypeVar("T", bound=msgspec.Struct)

_PATIENCE = 10.0
"""Seconds to wait for another process that changes the file."""


class UserFile(Generic[T]):
    """A file of JSON that only a person changes.

    A class names the file, the type of its content, what it says (``is trusted``), the command that changes
    it, and the code of the error for a damaged file.

    Args:
        folder: Where it is kept; else the folder for the data of programs of this user.
        project: A folder that must not hold it, because others may have written what is there.

    Raises:
        Refused: It would be in the project.
    """

    FILE: ClassVar[str]
    CONTENT: ClassVar[type[msgspec.Struct]]
    WHAT: ClassVar[str]
    COMMAND: ClassVar[str]
    DAMAGED: ClassVar[str]

    def __init__(self, folder: str | None = None, *, project: str | None = None) -> None:
        self._folder = folder or os.path.join(system.user_data_folder(), "orc")
        if project is not None and inside(
            os.path.realpath(self._folder), os.path.realpath(project)
        ):
            raise Refused(
                f"{self._folder} is in the project, whose files cannot say what {self.WHAT}",
                code="trust_in_project",
                hint="Set XDG_DATA_HOME to a folder of your own.",
            )
        self._read: tuple[object, T] | None = None

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self._folder, self.FILE)

    def read(self) -> T:
        """The content; empty if there is no file. It is read again when the file has changed.

        Raises:
            Refused: The file is damaged, or is a link.
        """
        try:
            stamp = _stamp(os.lstat(self.path))
        except OSError:
            return self.CONTENT()  # type: ignore[return-value]
        if self._read is not None and self._read[0] == stamp:
            return self._read[1]
        with open_file(self.path) as file:
            stamp = _stamp(os.fstat(file.fileno()))
            data = read_whole(self.path, file)
        try:
            content: T = msgspec.json.decode(data, type=self.CONTENT)  # type: ignore[assignment]
        except msgspec.MsgspecError as error:
            why = re.sub(r"'.*'", "***", str(error))  # a value of the file may be a secret
            raise Refused(
                f"{self.path} is damaged ({why}), so nothing {self.WHAT}",
                code=self.DAMAGED,
                hint="Delete it, then begin again.",
            ) from None
        self._read = stamp, content
        return content

    def change(self, edit: Callable[[T], T]) -> None:
        """Replace the content; changes of other processes are not lost.

        Raises:
            Refused: An agent that an event started asks for it.
        """
        if os.environ.get("ORC_CAUSE"):
            raise Refused(
                f"An agent that an event has started cannot change what {self.WHAT}",
                code="not_yours",
                hint=f"A person runs `{self.COMMAND}` in a shell of their own.",
            )
        from filelock import FileLock, Timeout  # most commands only read

        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=_PATIENCE, mode=0o600):
                self._write(edit(self.read()))
        except Timeout:
            raise TimedOut(f"Another process keeps {self.path}") from None
        except OSError as error:
            raise InputOutputError(f"{self.path} cannot be written: {error.strerror}") from None

    def _write(self, content: T) -> None:
        data = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
        new = f"{self.path}.{os.getpid()}.new"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(system.open_file(new, flags), "wb") as file:
                os.chmod(new, 0o600)
                file.write(data)
                file.flush()
                system.sync(file.fileno())
            system.replace(new, self.path)
            system.sync_folder(self._folder)
        finally:
            with suppress(OSError):
                os.unlink(new)


def _stamp(status: os.stat_result) -> object:
    """What changes with the content of a file."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
