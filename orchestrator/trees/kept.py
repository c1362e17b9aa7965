"""The result of removing a worktree, with the reasons to keep it; other modules look for these reasons."""

from typing import Literal

import msgspec

from orchestrator.core.errors import Refused

KeepReasonKind = Literal[
    "changes",
    "untracked",
    "unfinished",
    "hidden",
    "submodule",
    "stash",
    "commits",
    "unknown",
    "locked",
    "unreadable",
    "nested",
    "open",
    "in_use",
    "here",
    "refused",
]


class KeepReason(msgspec.Struct, frozen=True, kw_only=True):
    """A reason to keep a worktree.

    Attributes:
        text: The reason, as a part of a sentence.
    """

    kind: KeepReasonKind
    text: str


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a worktree is removed, and if not, why.

    Attributes:
        task: Its task; None for one that the board does not know.
        path: Its folder.
        branch: Its branch.
        commit: The last commit of the branch; empty if there is no branch.
        removed: Whether it is removed; in a dry run, whether it would be.
        branch_deleted: Whether the branch is deleted with it, because it is merged completely.
        reasons: Why it stays.
    """

    task: str | None
    path: str
    branch: str
    commit: str = ""
    removed: bool
    branch_deleted: bool = False
    reasons: tuple[KeepReason, ...] = ()


UNKNOWN = KeepReason(kind="unknown", text="the board does not know it")


def kept(removal: Removal) -> Refused:
    """The refusal to remove a worktree, which names all reasons."""
    texts = "; ".join(reason.text for reason in removal.reasons)
    name = f"of task {removal.task}" if removal.task else ascii(removal.path)
    return Refused(
        f"The worktree {name} stays: {texts}",
        code="worktree_kept",
        hint="Commit, and merge or push the work that you want to keep; then it can be removed.",
        path=removal.path,
        reasons=[{"kind": reason.kind, "text": reason.text} for reason in removal.reasons],
    )
