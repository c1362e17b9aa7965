"""``config.toml`` of a board: settings that people write by hand."""

from typing import Annotated

import msgspec
from msgspec import Meta

from orchestrator.core.clock import duration
from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import BadInput, UsageError
from orchestrator.domain.board import FILE as FILE
from orchestrator.domain.merges.records import Strategy


class SavedQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question that was saved.

    Attributes:
        question: The command line that asks it, without the program: ``ls --mine``.
        prime: Whether `prime` lists it.
    """

    question: str
    prime: bool = False


class MergeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of the merge queue.

    Attributes:
        required: Whether completing a task that has a branch hands the branch to the queue.
        target: The branch that others are merged into.
        strategy: How: ``merge``, ``squash`` or ``rebase``.
        test: Commands that must succeed on the merged tree. They run without a shell; a person must first
            trust them on the machine of the queue's runner.
        batch: How many branches are merged and tested together.
        retries: How often tests that fail are run again before a branch goes back.
        timeout: Seconds after which a test is killed.
    """

    required: bool = False
    target: str = "main"
    strategy: Strategy = "merge"
    test: tuple[str, ...] = ()
    batch: Annotated[int, Meta(ge=1, le=100)] = 8
    retries: Annotated[int, Meta(ge=0, le=10)] = 0
    timeout: Annotated[float, Meta(gt=0)] = 1800.0


class TerminalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[terminal]``: terminals of agents.

    Attributes:
        max: How many may run at a time.
    """

    max: Annotated[int, Meta(ge=0, le=1000)] = 10


class WorktreeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of worktrees.

    Attributes:
        folder: The folder that contains them, relative to the main worktree; else ``../<name>.worktrees``.
        setup: Commands that run in a new worktree, without a shell; a person must first trust them on this
            machine.
    """

    folder: str = ""
    setup: tuple[str, ...] = ()


class PatrolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[patrol]``: what takes too long, and how often a patrol tells so. Durations are written as ``30m``.

    Attributes:
        nudges: How often an agent is told before the overseer is.
        pause: The time after the first nudge; each pause is twice the one before.
        longest_pause: The longest such time.
        lease: How long before its end a lease is reported; at most a quarter of the lease.
        submission: How long a branch may wait to be merged.
        convoy: How long a convoy may be without a change.
        worktree: How long no agent may have the task of a worktree.
    """

    nudges: Annotated[int, Meta(ge=1, le=100)] = 3
    pause: str = "10m"
    longest_pause: str = "4h"
    lease: str = "5m"
    submission: str = "1h"
    convoy: str = "4h"
    worktree: str = "1h"

    def __post_init__(self) -> None:
        for name in ("pause", "longest_pause", "lease", "submission", "convoy", "worktree"):
            try:
                seconds = duration(getattr(self, name))
            except UsageError as error:
                raise ValueError(f"patrol.{name}: {error.message}") from None
            if name == "pause" and not seconds:
                raise ValueError("patrol.pause must be longer than 0 seconds")


class BoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings in ``config.toml``.

    Attributes:
        workstream: The workstream of a task that names none.
        saved: Questions that were saved, by name.
        merge: The merge queue.
        terminal: Terminals of agents.
        worktree: The worktrees of tasks.
        patrol: Patrols.
        store: The URL of the board, if this folder only leads to it.
    """

    workstream: str = ""
    saved: dict[str, SavedQuestion] = {}
    merge: MergeSettings = MergeSettings()
    terminal: TerminalSettings = TerminalSettings()
    worktree: WorktreeSettings = WorktreeSettings()
    patrol: PatrolSettings = PatrolSettings()
    store: str = ""


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
