"""Files that a setup changes: how they are read, replaced, backed up, and given back as they were.

For each file, a folder of this user keeps the old content and the written content. As long as no
other program has changed the file, removing the setup gives back the old bytes.
"""

import hashlib
import os
import stat
import time
from contextlib import suppress

import msgspec

from orchestrator.core import clock, paths, system
from orchestrator.core.decoding import BOM, decode_text
from orchestrator.core.errors import InputOutputError, OrchestratorError, Refused
from orchestrator.core.files import open_file, read_whole
from orchestrator.integrations.clients.parts import Part

BACKUPS = 20
"""How many backups of a file are kept."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file that a setup wrote.

    Attributes:
        path: The file.
        digest: The digest of what was written.
        existed: Whether there was such a file before.
        folders: Folders that were made for it.
    """

    path: str
    digest: str
    existed: bool
    folders: tuple[str, ...] = ()


class ConfigFile:
    """A file of another program.

    Args:
        path: Where the program looks for it.
        top: The folder that it has to stay in, also through links: the project, or the home of the user.

    Raises:
        Refused: It is a link that leaves that folder, or read-only.
        BadInput: It is no file, or not UTF-8.
    """

    def __init__(self, path: str, top: str) -> None:
        self.path = path
        self.real = os.path.realpath(path)
        if paths.inside(self.real, os.path.realpath(top)) is None:
            raise Refused(
                f"{path} is a link to {self.real}, which is outside {top}",
                code="symlink",
                hint="Set that file up by hand: `setup --print` shows what belongs there.",
            )
        self.data: bytes | None = None
        self._mode = 0
        if os.path.lexists(self.real):
            with open_file(self.real) as file:
                self._mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if not self._mode & stat.S_IWUSR:
                    raise Refused(f"{path} is read-only", code="read_only")
                self.data = read_whole(path, file)
        self._missing = tuple(_missing_folders(os.path.dirname(self.real)))
        name = hashlib.sha256(os.fsencode(self.real)).hexdigest()[:16]
        self._folder = os.path.join(system.user_data_folder(), "orc", "setup", name)

    @property
    def text(self) -> str:
        """Its text, without a byte order mark; empty if it does not exist."""
        return decode_text(self.data or b"", self.path)

    def encoded(self, text: str) -> bytes:
        """A new text as bytes, with the byte order mark if the file has one."""
        return (BOM if (self.data or b"").startswith(BOM) else b"") + text.encode()

    @property
    def original(self) -> bytes | None:
        """What the file was before the first setup; None if that is not known, or there was none."""
        written = self._written()
        return self._kept("original") if written is not None and written.existed else None

    @property
    def original_text(self) -> str | None:
        """The same as text."""
        data = self.original
        return None if data is None else decode_text(data, self.path)

    @property
    def is_as_written(self) -> bool:
        """Whether the file is what the last setup wrote."""
        written = self._written()
        return written is not None and written.digest == _digest(self.data)

    def write(self, data: bytes, stripped: bytes | None, *, mode: int) -> None:
        """Replace the file, and remember what it was without our parts.

        Args:
            data: The new content.
            stripped: The present content without our parts; None if there would be no file.
            mode: The mode of the file if it is new; an existing file keeps its mode.
        """
        self._back_up()
        written = self._written()
        if not self.is_as_written or written is None:
            written = Written(
                path=self.path,
                digest="",
                existed=stripped is not None,
                folders=self._missing,
            )
            if stripped is not None:
                self._keep("original", stripped)
        os.makedirs(os.path.dirname(self.real), exist_ok=True)
        record = msgspec.structs.replace(written, digest=_digest(data))
        self._keep("written.json", msgspec.json.encode(record))
        _replace(self.real, data, self._mode or mode)

    def give_back(self, stripped: bytes | None) -> None:
        """Write what the file was before the setup, or delete it; folders that were made for it go too.

        Args:
            stripped: What it is without our parts, if others have changed it since; None: nothing is left.
        """
        self._back_up()
        written = self._written()
        data = stripped
        if self.is_as_written and written is not None:
            data = self._kept("original") if written.existed else None
        if data is not None:
            _replace(self.real, data, self._mode)
        else:
            os.unlink(self.real)
            for folder in written.folders if written else ():
                with suppress(OSError):  # it has other files
                    os.rmdir(folder)
        with suppress(OSError):
            os.unlink(os.path.join(self._folder, "written.json"))

    @property
    def backups(self) -> list[str]:
        """The paths of the backups, the oldest first."""
        with suppress(OSError):
            names = (n for n in os.listdir(self._folder) if n.startswith("backup-"))
            return [os.path.join(self._folder, name) for name in sorted(names)]
        return []

    def _back_up(self) -> None:
        if self.data is None:
            return
        moment = clock.timestamp(time.time()).replace(":", "").replace(".", "")
        self._keep(f"backup-{moment}-{os.path.basename(self.path)}", self.data)
        for path in self.backups[:-BACKUPS]:
            os.unlink(path)

    def _written(self) -> Written | None:
        data = self._kept("written.json")
        with suppress(msgspec.MsgspecError):
            return None if data is None else msgspec.json.decode(data, type=Written)
        return None

    def _kept(self, name: str) -> bytes | None:
        path = os.path.join(self._folder, name)
        if not os.path.lexists(path):
            return None
        with open_file(path) as file:
            return file.read()

    def _keep(self, name: str, data: bytes) -> None:
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            _replace(os.path.join(self._folder, name), data, 0o600)
        except OSError as error:
            raise InputOutputError(
                f"No backup can be kept in {self._folder}: {error.strerror}"
            ) from None


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _missing_folders(folder: str) -> list[str]:
    """The folders that have to be made, the innermost first."""
    missing = []
    for above in paths.upwards(folder):
        if os.path.isdir(above):
            break
        missing.append(above)
    return missing


def _replace(path: str, data: bytes, mode: int) -> None:
    """Replace a file in one step."""
    new = f"{path}.{os.getpid()}.new"
    try:
        fd = system.open_file(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            system.sync(file.fileno())
        os.chmod(new, mode)
        system.replace(new, path)
    except OSError as error:
        raise InputOutputError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            os.unlink(new)


class PartEdit:
    """An edit that adds our part to a file, or removes it. The new content is computed before a write.

    Args:
        path: The file.
        top: The folder that the file must be in.
        part: The part that is added.
        removes: Whether the part is removed instead.

    Attributes:
        path: The file.
        file: The file before the edit.
        new: The new content; None if the file is deleted, or not made.

    Raises:
        OrchestratorError: The part does not fit the file, or the file cannot be changed.
    """

    def __init__(self, path: str, top: str, part: Part, *, removes: bool) -> None:
        self.path = path
        self.file = ConfigFile(path, top)
        self._mode = part.mode
        self._removes = removes
        try:
            self._stripped = self._without(part)
            self.new = self._stripped if removes else self.file.encoded(part.add(self.file.text))
        except OrchestratorError as error:
            hint = error.hint or "Nothing was changed. Correct the file, then try again."
            raise type(error)(f"{path}: {error.message}", hint=hint, code=error.code) from None
        if removes and self.file.is_as_written:
            self.new = self.file.original

    @property
    def action(self) -> str:
        """``create``, ``change``, ``delete``, or ``keep`` if the file stays as it is."""
        if self.new == self.file.data:
            return "keep"
        return "create" if self.file.data is None else "delete" if self.new is None else "change"

    def carry_out(self) -> None:
        """Write the file."""
        if self.action == "keep":
            return
        if self._removes:
            self.file.give_back(self._stripped)
        else:
            assert self.new is not None
            self.file.write(self.new, self._stripped, mode=self._mode)

    def _without(self, part: Part) -> bytes | None:
        """The content without the part; None if there is no file, or it has only our part."""
        file = self.file
        if file.data is None:
            return None
        text = part.remove(file.text, file.original_text)
        if text == file.text:
            return file.data
        is_empty = text.strip() in ("", "{}")
        return None if is_empty and file.original is None else file.encoded(text)
