"""Set up clients: what would change, and the change of all files, or of none."""

import difflib
import os
from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.paths import inside
from orchestrator.integrations.clients.clients import (
    CLIENTS,
    Client,
    Files,
    SetupPlace,
    instruction_files,
)
from orchestrator.integrations.clients.config_files import ConfigFile, PartEdit


class ConfigChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a setup does to a file.

    Attributes:
        path: The file.
        action: ``create``, ``change``, ``delete``, or ``keep`` if nothing is to be done.
        diff: The change as a unified diff.
        backup: The copy of the file as it was; empty if there is none.
    """

    path: str
    action: str
    diff: str = ""
    backup: str = ""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """A setup that was made, removed or only computed.

    ``is_complete``: every file has what belongs there.
    """

    clients: tuple[str, ...]
    place: str
    is_user: bool
    files: list[ConfigChange]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is to be done."""
        return all(change.action == "keep" for change in self.files)


def installed(home: str) -> Mapping[str, str]:
    """The clients of this machine by name, with how they were found."""
    traces = {client.name: client.trace(home) for client in CLIENTS.values()}
    return {name: trace for name, trace in traces.items() if trace}


def parts(names: Iterable[str], place: SetupPlace) -> Files:
    """What belongs in which file for these clients."""
    files: Files = {}
    for name in names:
        files |= CLIENTS[name].files(place)
    return files | instruction_files(place)


def set_up(
    names: Iterable[str], place: SetupPlace, *, removes: bool = False, dry: bool = False
) -> Setup:
    """Write what belongs in the files of clients, or remove it.

    All files are read and computed before the first one is written.

    Args:
        names: The clients.
        place: Where, and how the toolkit is called.
        removes: Remove it instead; the block stays while another client is set up.
        dry: Change nothing.

    Raises:
        Refused: A file is read-only or a link to another place, or has a foreign entry of our name.
        BadInput: A file is not of the format that its client reads.
    """
    names = tuple(names)
    wanted = parts(names, place)
    if removes:
        others = [c for c in CLIENTS.values() if c.name not in names and is_set_up(c, place)]
        for path in instruction_files(place) if others else ():
            del wanted[path]
    edits = [
        PartEdit(path, _top(path, place), part, removes=removes) for path, part in wanted.items()
    ]
    for edit in () if dry else edits:
        edit.carry_out()
    return Setup(
        clients=names,
        place=place.top,
        is_user=place.is_user,
        files=[
            ConfigChange(
                path=edit.path,
                action=edit.action,
                diff=_diff(edit.file, edit.new),
                backup=edit.file.backups[-1] if edit.action == "change" and not dry else "",
            )
            for edit in edits
        ],
    )


def _top(path: str, place: SetupPlace) -> str:
    """The folder that the file must be in; a link must not lead out of it."""
    return place.top if inside(path, place.top) is not None else os.path.dirname(path)


def is_set_up(client: Client, place: SetupPlace) -> bool:
    """Whether a file of a client has a part of ours; one that cannot be read has none."""
    for path, part in client.files(place).items():
        try:
            file = ConfigFile(path, _top(path, place))
            if file.data is not None and part.remove(file.text) != file.text:
                return True
        except OrchestratorError:
            continue
    return False


def _diff(file: ConfigFile, new: bytes | None) -> str:
    if new == file.data:
        return ""
    old_lines, new_lines = (
        (data or b"").decode("utf-8", "replace").splitlines(keepends=True)
        for data in (file.data, new)
    )
    lines = difflib.unified_diff(old_lines, new_lines, file.path, file.path)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
