"""How the branches of a board are merged: ``[merge]`` in ``config.toml``, with what a command line says."""

from collections.abc import Sequence

import msgspec

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Desk
from orchestrator.domain.board.settings import FILE, settings
from orchestrator.domain.state import State
from orchestrator.domain.tasks.checks import words_of
from orchestrator.trees.trusted_settings import TrustedSettings


class MergeTests(msgspec.Struct, frozen=True):
    """What the merge queue runs on merged files.

    Attributes:
        test: The commands.
    """

    test: tuple[str, ...]


class QueuePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How branches are merged.

    Attributes:
        tests: Commands that must succeed on the merged files; no shell reads them.
        batch: How many branches are merged and tested together.
        retries: How often tests that fail are run again before they count.
        timeout: Seconds after which a test is killed.
    """

    tests: tuple[str, ...]
    batch: int
    retries: int
    timeout: float


def merge_tests(desk: Desk[State]) -> TrustedSettings[MergeTests]:
    """The tests that ``config.toml`` names, and whether they are trusted.

    Raises:
        BadInput: The file cannot be used.
    """
    given = settings(desk.documents.read(FILE)).merge
    return TrustedSettings(desk, "merge", MergeTests(given.test))


def policy_of(
    desk: Desk[State],
    *,
    tests: Sequence[str] | None = None,
    batch: int | None = None,
    retries: int | None = None,
) -> QueuePolicy:
    """How the branches of a board are merged.

    Args:
        desk: The board.
        tests: The tests, if they are not those of the board.
        batch: How many branches at a time, if not as many as the board says.
        retries: How often tests that fail are run again, if not as often as the board says.

    Raises:
        BadInput: ``config.toml`` cannot be used.
        Refused: Its tests are not trusted on this machine (``not_trusted``).
        UsageError: A test has no words, or a quote that is not closed.
    """
    merge = settings(desk.documents.read(FILE)).merge
    if tests is None:
        of_board = merge_tests(desk)
        if merge.test and not of_board.is_trusted:
            raise Refused(
                f"Nobody has trusted the tests that {FILE} names, on this machine",
                code="not_trusted",
                hint="`merge trust` shows them, `merge trust --yes` allows them; --test takes others.",
            )
    chosen = merge.test if tests is None else tuple(tests)
    for command in chosen:
        words_of(command)
    return QueuePolicy(
        tests=chosen,
        batch=merge.batch if batch is None else batch,
        retries=merge.retries if retries is None else retries,
        timeout=merge.timeout,
    )
