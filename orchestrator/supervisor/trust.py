"""What may run on this machine: the digests of files that a person has trusted, in the folder of the user.

Agent files are part of a repository, and its authors may be strangers, so a board cannot hold its own trust.
A file is known by its real path and its digest: a changed file, and a copy elsewhere, is not trusted.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec
from filelock import FileLock, Timeout

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, Refused, TimedOut
from orchestrator.core.files import open_file, read_whole
from orchestrator.core.paths import inside

FILE = "trusted.json"

_PATIENCE = 10.0
"""Seconds to wait for another process that changes the file."""


class TrustedFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file: digests by path."""

    files: dict[str, str] = {}


def digest_of(data: bytes) -> str:
    """What stands for the content of a file."""
    return hashlib.sha256(data).hexdigest()


class Trust:
    """The trust of the user of this machine.

    Args:
        folder: Where it is kept; else the folder for the data of programs of this user.
        project: A folder that must not hold it, because others may have written what is there.

    Raises:
        Refused: It would be in the project.
    """

    def __init__(self, folder: str | None = None, *, project: str | None = None) -> None:
        self._folder = folder or os.path.join(system.user_data_folder(), "orc")
        if project is not None and inside(
            os.path.realpath(self._folder), os.path.realpath(project)
        ):
            raise Refused(
                f"{self._folder} is in the project, whose files cannot say what to trust",
                code="trust_in_project",
                hint="Set XDG_DATA_HOME to a folder of your own.",
            )

    @property
    def path(self) -> str:
        """The file that keeps it."""
        return os.path.join(self._folder, FILE)

    def is_trusted(self, path: str, digest: str) -> bool:
        """Whether a file may run with this content."""
        return self._read().files.get(os.path.realpath(path)) == digest

    def state_of(self, path: str, digest: str) -> str:
        """``trusted``, ``changed`` since it was trusted, or ``new``."""
        known = self._read().files.get(os.path.realpath(path))
        return "new" if known is None else "trusted" if known == digest else "changed"

    def add(self, digests: Mapping[str, str]) -> None:
        """Trust files with their present content.

        Args:
            digests: The digests that the person has seen, by path.

        Raises:
            Refused: An agent that an event started asks for it.
        """
        self._change({os.path.realpath(path): digest for path, digest in digests.items()}, ())

    def remove(self, paths: Iterable[str]) -> None:
        """Trust files no more."""
        self._change({}, {os.path.realpath(path) for path in paths})

    def _change(self, new: Mapping[str, str], gone: Iterable[str]) -> None:
        if os.environ.get("ORC_CAUSE"):
            raise Refused(
                "An agent that an event has started cannot change what is trusted",
                code="not_yours",
                hint="A person runs `trust` in a shell of their own.",
            )
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=_PATIENCE, mode=0o600):
                files = {**self._read().files, **new}
                for path in gone:
                    files.pop(path, None)
                self._write(TrustedFiles(files))
        except Timeout:
            raise TimedOut(f"Another process keeps {self.path}") from None
        except OSError as error:
            raise InputOutputError(f"{self.path} cannot be written: {error.strerror}") from None

    def _read(self) -> TrustedFiles:
        if not os.path.lexists(self.path):
            return TrustedFiles()
        with open_file(self.path) as file:
            data = read_whole(self.path, file)
        try:
            return msgspec.json.decode(data, type=TrustedFiles)
        except msgspec.MsgspecError as error:
            raise Refused(
                f"{self.path} is damaged ({error}), so nothing is trusted",
                code="bad_trust_file",
                hint="Delete it, then trust your files again.",
            ) from None

    def _write(self, trusted: TrustedFiles) -> None:
        data = msgspec.json.format(msgspec.json.encode(trusted), indent=2) + b"\n"
        new = f"{self.path}.{os.getpid()}.new"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(system.open_file(new, flags), "wb") as file:
                file.write(data)
                file.flush()
                system.sync(file.fileno())
            system.replace(new, self.path)
            system.sync_folder(self._folder)
        finally:
            with suppress(OSError):
                os.unlink(new)
