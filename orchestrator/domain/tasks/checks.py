"""The checks of a task: conditions that must hold before it is done."""

from collections.abc import Iterable

from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.domain.slices import Record
from orchestrator.domain.validation import check_required

DEFAULT_TIMEOUT = 600.0
"""The default timeout of a command, in seconds."""

LONGEST_TIMEOUT = 24 * 3600.0
"""The largest timeout of a command, in seconds: the lease of the task is extended by it."""

MOST = 50
"""How many commands, and how many artifacts, a task may have."""

LONGEST = 4096
"""The largest length of a command or path."""


class Checks(Record, frozen=True, kw_only=True):
    """The checks of a task.

    Attributes:
        verify: Commands that must succeed.
        timeout: The timeout of each command in seconds; None for the default of ten minutes.
        artifacts: Files and folders that must exist and not be empty.
        review: Whether another agent must approve.
        trusted: Whether the commands were written here, or trusted here after they came by import.
    """

    verify: tuple[str, ...] = ()
    timeout: float | None = None
    artifacts: tuple[str, ...] = ()
    review: bool = False
    trusted: bool = False

    @property
    def are_due(self) -> bool:
        """Whether commands or artifacts must be checked before the task is complete."""
        return bool(self.verify or self.artifacts)

    @property
    def are_inert(self) -> bool:
        """Whether there are commands that must not run because they are not trusted."""
        return bool(self.verify) and not self.trusted

    @property
    def patience(self) -> float:
        """Seconds that one command may take."""
        return self.timeout or DEFAULT_TIMEOUT


NO_CHECKS = Checks()


def with_commands(checks: Checks, commands: Iterable[str]) -> Checks:
    """Replace the commands. They are trusted, because a caller here wrote them.

    Raises:
        UsageError: A command cannot be split into words, is too long, or there are too many.
    """
    verify = _texts("command", commands)
    for command in verify:
        words_of(command)
    timeout = checks.timeout if verify else None
    return replace(checks, verify=verify, trusted=bool(verify), timeout=timeout)


def with_artifacts(checks: Checks, paths: Iterable[str]) -> Checks:
    """Replace the artifacts.

    Raises:
        UsageError: A path is empty or too long, or there are too many.
    """
    return replace(checks, artifacts=_texts("artifact", paths))


def with_timeout(checks: Checks, timeout: float | str) -> Checks:
    """Replace the timeout of the commands; an empty text restores the usual one.

    Raises:
        UsageError: There is no command, or the timeout is out of range.
    """
    if timeout == "":
        return replace(checks, timeout=None)
    seconds = clock.duration(timeout)
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise UsageError("A check may take up to 24h, and longer than 0 seconds")
    if not checks.verify:
        raise UsageError("A timeout needs a command that is checked: --verify")
    return replace(checks, timeout=seconds)


def words_of(command: str) -> list[str]:
    """Split a command into words as a shell does; nothing is expanded.

    Raises:
        UsageError: A quote is not closed, or there is no word.
    """
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(
            f"{command!a} cannot be split into words: {error}",
            hint="No shell reads it; `sh -c '...'` does.",
        ) from None
    if not words or not words[0]:
        raise UsageError(f"{command!a} names no program")
    return words


def _texts(kind: str, texts: Iterable[str]) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(check_required(kind, text) for text in texts))
    if len(unique) > MOST or any(len(text) > LONGEST for text in unique):
        raise UsageError(f"A task has at most {MOST} {kind}s of {LONGEST} characters")
    return unique
