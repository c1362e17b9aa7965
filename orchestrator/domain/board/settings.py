"""``config.toml`` of a board: settings that people write by hand."""

import msgspec

from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import BadInput

FILE = "config.toml"


class SavedQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question that was saved.

    Attributes:
        question: The command line that asks it, without the program: ``ls --mine``.
        prime: Whether `prime` lists it.
    """

    question: str
    prime: bool = False


class BoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings in ``config.toml``.

    Attributes:
        workstream: The workstream of a task that names none.
        saved: Questions that were saved, by name.
    """

    workstream: str = ""
    saved: dict[str, SavedQuestion] = {}


def settings(data: bytes | None) -> BoardSettings:
    """Read the settings of a board; without the file, each has its default.

    Args:
        data: The content of the file; None if there is none.

    Raises:
        BadInput: The file is not valid TOML, or contains an unknown setting.
    """
    if data is None:
        return BoardSettings()
    import tomllib

    place = ""
    try:
        table = tomllib.loads(decode_text(data, "it"))
        saved = table.get("saved")
        for name, question in saved.items() if isinstance(saved, dict) else ():
            place = f"saved.{name}: "
            msgspec.convert(question, SavedQuestion)
        place = ""
        return msgspec.convert(table, BoardSettings)
    except (BadInput, ValueError, RecursionError) as error:
        known = ", ".join(BoardSettings.__struct_fields__)
        raise BadInput(
            f"{FILE} cannot be used: {place}{error}", hint=f"It may set: {known}."
        ) from None
