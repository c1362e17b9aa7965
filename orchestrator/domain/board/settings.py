"""``config.toml`` of a board: settings that people write by hand."""

from typing import Any

import msgspec

from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import BadInput
from orchestrator.core.transaction import Transaction

FILE = "config.toml"


class BoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings in ``config.toml``.

    Attributes:
        workstream: The workstream of a task that names none.
    """

    workstream: str = ""


def settings(tx: Transaction[Any]) -> BoardSettings:
    """Read the settings of the board; without the file, each has its default.

    Raises:
        BadInput: The file is not valid TOML, or contains an unknown setting.
    """
    data = tx.read_document(FILE)
    if data is None:
        return BoardSettings()
    import tomllib

    try:
        return msgspec.convert(tomllib.loads(decode_text(data, "it")), BoardSettings)
    except (BadInput, ValueError, RecursionError) as error:
        known = ", ".join(BoardSettings.__struct_fields__)
        raise BadInput(f"{FILE} cannot be used: {error}", hint=f"It may set: {known}.") from None
