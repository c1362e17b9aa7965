"""What `merge trust` and `worktree trust` share: they show settings of ``config.toml``, and allow them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli.layout import parts
from orchestrator.interfaces.cli.parameters import flag, together

if TYPE_CHECKING:
    from orchestrator.trees.trusted_settings import TrustedSettings

TRUSTING = together(
    flag("--yes", "Allow them on this machine."), flag("--revoke", "Do not allow them any more.")
)


def settle(settings: "TrustedSettings[Any]", *, yes: bool, revoke: bool) -> None:
    """Trust the settings, or trust them no more, as the options say.

    Raises:
        UsageError: Both options are given.
        Refused: An agent that an event started asks for it.
    """
    if yes and revoke:
        raise UsageError("--yes and --revoke are given: leave one of them out")
    if yes:
        settings.allow()
    elif revoke:
        settings.revoke()


def trust_page(settings: Iterable[str], trusted: bool) -> str:
    """The lines of the settings, and whether they are trusted."""
    return parts(
        *settings,
        "Trusted on this machine." if trusted else "Not trusted: --yes allows it on this machine.",
    )
