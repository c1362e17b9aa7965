"""Move a target branch to a commit that was tested, so that no kill and no other program can spoil it.

1. A runner *takes* changes: for each it sets a ref below ``refs/orchestrator/landing/`` to a mark of its own,
   with a compare-and-swap. From then on no earlier runner can land them, even if it was only stopped for a
   while: what follows demands that the refs are as their runner left them.
2. The refs become *intents*: for each change the commit of the target that would contain it.
3. The target is moved by a compare-and-swap (``update-ref``), in one transaction that checks the intents too.
4. Worktrees that have the target checked out get its new files (:meth:`Target.bring_along`).

After a kill the intents tell what has landed: a change whose intent is a commit that the target contains. If
the new files would overwrite work in such a worktree that is not committed, the target is not moved.
"""

import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product

import msgspec

from orchestrator.core.errors import NotFound, OrchestratorError, Refused
from orchestrator.core.git import HEADS, Git, GitFailed, decoded
from orchestrator.core.git_worktrees import belongs, worktrees
from orchestrator.core.printable import escape, first_of
from orchestrator.trees.merging import UNATTENDED, SubmittedChange

_INTENTS = "refs/orchestrator/landing/"
_BEHIND = "refs/orchestrator/behind/"
"""For each target that is moved while a worktree has it: the commit that the worktree may still be at."""

_FETCH = 60.0
"""Seconds that a remote has to answer."""

_SHOWN = 5
"""How many files an error names."""


class TargetInUse(Refused):
    """The target cannot be moved now, because of a worktree that has it checked out."""

    code = "target_in_use"
    retryable = True


class TargetGone(NotFound):
    """There is no such branch."""

    code = "target_not_found"


class TargetMoved(Exception):
    """Another program moved the target, or took over the changes, since it was read."""


class Target:
    """A branch that the merge queue moves.

    Args:
        folder: Any worktree of the repository, or git's folder.
        common: Git's folder, which all worktrees share.
        name: The branch.

    Attributes:
        seen: The commit of the target when it was read last; empty if it was not.
    """

    def __init__(self, folder: str, common: str, name: str) -> None:
        self.name = name
        self.seen = ""
        self._ref = f"{HEADS}{name}"
        self._behind = f"{_BEHIND}{name}"
        self._common = os.path.realpath(common)
        self._git = Git(folder, settings=UNATTENDED)
        self._set: dict[int, str] = {}  # what this runner has set the refs of changes to
        self._may_be_behind = True

    def tip(self) -> str:
        """The commit of the target.

        Raises:
            TargetGone: There is no such branch.
        """
        return self._see(self._git.commit(self._ref))

    def _see(self, tip: str | None) -> str:
        if tip is None:
            raise TargetGone(f"there is no branch {escape(self.name)}")
        self.seen = tip
        return tip

    # What has landed

    def take(self, changes: Sequence[SubmittedChange]) -> dict[int, str]:
        """Take changes, so that no earlier runner can land them.

        Args:
            changes: Changes whose commits exist in the repository.

        Returns:
            Those that the target contains already, by their numbers: each with the commit of the target
            that contains it.

        Raises:
            TargetGone: There is no target.
            TargetMoved: Another program changes the same refs just now.
        """
        refs = self._refs(self._ref, self._behind)
        tip = self._see(refs[self._ref].to if self._ref in refs else None)
        self._may_be_behind = self._behind in refs
        known = {change: refs.get(_ref_name(change), _NO_REF) for change in changes}
        intents = {change: ref for change, ref in known.items() if ref.is_commit}
        found = self._landed(changes, intents, tip)
        self._set = {change.number: ref.to for change, ref in known.items() if ref.to}
        left = [change for change in changes if change.number not in found]
        if left:
            mark = self._git.text("hash-object", "-w", "--stdin", stdin=os.urandom(16))
            self._swap({change: known[change].to for change in left}, dict.fromkeys(left, mark))
            self._set |= dict.fromkeys((change.number for change in left), mark)
            if intents:  # one may have landed meanwhile
                found |= self._landed(left, intents, self.tip())
        return found

    def fetch(self, changes: Sequence[SubmittedChange]) -> None:
        """Fetch the branches of changes that other machines have pushed to the remotes."""
        remotes = self._git.text("remote").splitlines()
        for remote, change in product(remotes, changes):
            words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--")
            with suppress(OrchestratorError):  # it does not answer in time
                self._git.run(
                    *words, remote, f"{HEADS}{change.branch}", accepted=None, timeout=_FETCH
                )

    def missing(self, changes: Sequence[SubmittedChange]) -> set[int]:
        """The numbers of the changes whose commits the repository does not have."""
        asked = "".join(f"{change.commit}^{{commit}}\n" for change in changes)
        lines = self._git.text("cat-file", "--batch-check", stdin=asked.encode()).splitlines()
        return {
            change.number
            for change, line in zip(changes, lines, strict=True)
            if not line.startswith(f"{change.commit} commit ")
        }

    def _landed(
        self,
        changes: Iterable[SubmittedChange],
        intents: Mapping[SubmittedChange, "_Ref"],
        tip: str,
    ) -> dict[int, str]:
        """The changes that the target contains, each with the commit that contains it."""
        asked = [change.commit for change in changes] + [intent.to for intent in intents.values()]
        outside = self._not_in(tip, asked)
        found = {}
        for change in changes:
            if change in intents and intents[change].to not in outside:
                found[change.number] = intents[change].to
            elif change.commit not in outside:
                found[change.number] = self._merge_of(change.commit, tip)
        return found

    def _not_in(self, tip: str, commits: Iterable[str]) -> set[str]:
        """Those of some commits that a commit does not contain."""
        asked = "".join(f"{commit}\n" for commit in commits) + f"^{tip}\n"
        return set(self._git.text("rev-list", "--stdin", stdin=asked.encode()).split())

    def _merge_of(self, commit: str, tip: str) -> str:
        """The first commit on the main line of the target that contains a commit."""
        span = f"{commit}..{tip}"
        containing = set(self._git.text("rev-list", "--ancestry-path", span).split())
        main_line = self._git.text("rev-list", "--first-parent", "--reverse", span).split()
        return next((merge for merge in main_line if merge in containing), commit)

    def contains(self, commit: str) -> bool:
        """Whether the target contains a commit.

        Raises:
            TargetGone: There is no target.
        """
        return not self._not_in(self.tip(), [commit])

    # Intents

    def forget(self, changes: Iterable[SubmittedChange]) -> None:
        """Remove the refs of changes that this runner has taken: they have ended, or are given back."""
        named = {_ref_name(change): self._set.pop(change.number, "") for change in changes}
        mine = {name: to for name, to in named.items() if to}
        try:
            self._delete(mine)
        except GitFailed:  # another runner has taken one of them
            known = self._refs()
            left = {name: to for name, to in mine.items() if known.get(name, _NO_REF).to == to}
            with suppress(GitFailed):  # or takes one just now, and so replaces the ref
                self._delete(left)

    def _delete(self, refs: Mapping[str, str]) -> None:
        self._update(f"delete {name}\0{to}\0" for name, to in refs.items())

    def _refs(self, *more: str) -> dict[str, "_Ref"]:
        """The refs of all changes, and more refs, by their names; only those that exist."""
        return _refs_below(self._git, _INTENTS, *more)

    def _swap(
        self, before: Mapping[SubmittedChange, str], after: Mapping[SubmittedChange, str]
    ) -> None:
        """Change the refs of changes.

        Raises:
            TargetMoved: One of them is not what it was.
        """
        try:
            self._update(
                f"update {_ref_name(change)}\0{to}\0{was}\0"
                if (was := before[change])
                else f"create {_ref_name(change)}\0{to}\0"
                for change, to in after.items()
            )
        except GitFailed:
            if self._are_set_to(before):
                raise  # such as a lock file of another program
            raise TargetMoved from None

    def _are_set_to(self, expected: Mapping[SubmittedChange, str]) -> bool:
        known = self._refs()
        return all(known.get(_ref_name(c), _NO_REF).to == to for c, to in expected.items())

    def _update(self, lines: Iterable[str], reason: str = "") -> None:
        """Change refs in one transaction."""
        text = "".join(lines)
        if text:
            words = ("-m", reason) if reason else ()
            self._git.run("update-ref", *words, "--stdin", "-z", stdin=os.fsencode(text))

    # Moving it

    def land(self, changes: Mapping[SubmittedChange, str], old: str, new: str) -> None:
        """Move the target, and verify that it was moved.

        Args:
            changes: The changes that land, each with the commit that contains it; this runner took them.
            old: The commit of the target so far.
            new: The tested commit, a successor of ``old``.

        Raises:
            TargetGone: It is gone.
            TargetMoved: It is not at ``old`` any more, or another runner has taken the changes.
            TargetInUse: A worktree that has the target checked out is in the way.
        """
        self.bring_along()
        trees = self._worktrees_on_it()
        self._may_be_behind = bool(trees)
        for tree in trees:
            self._check_free(tree, old, new)
        self._swap({change: self._set[change.number] for change in changes}, changes)
        self._set |= {change.number: commit for change, commit in changes.items()}
        if trees:
            self._update([f"create {self._behind}\0{old}\0"])
        self._move(changes, old, new)
        tip = self.tip()
        if tip != new and self._not_in(tip, [new]):
            raise TargetMoved

    def _move(self, changes: Mapping[SubmittedChange, str], old: str, new: str) -> None:
        verified = (f"verify {_ref_name(c)}\0{to}\0" for c, to in changes.items())
        numbers = ", ".join(str(change.number) for change in changes)
        try:
            self._update(
                [*verified, f"update {self._ref}\0{new}\0{old}\0"], f"merge queue: {numbers}"
            )
        except GitFailed:
            if self.tip() == old and self._are_set_to(changes):
                raise  # such as a lock file of another program
            raise TargetMoved from None

    # Worktrees that have it

    def bring_along(self) -> None:
        """Give the worktrees that have the target the files of its commit, if an earlier move did not.

        Raises:
            TargetInUse: The new files would overwrite work in a worktree; the worktree stays as it is.
        """
        if not self._may_be_behind:
            return
        old = self._git.commit(self._behind)
        if old is not None:
            for tree in self._worktrees_on_it():
                new = self.tip()
                self._check_free(tree, old, new)
                self._read_tree(Git(tree, settings=UNATTENDED), old, new)
            self._update([f"delete {self._behind}\0\0"])
        self._may_be_behind = False

    def _worktrees_on_it(self) -> list[str]:
        """The folders of the worktrees that have the target checked out.

        Raises:
            TargetInUse: One of them is in the middle of a rebase or a bisection of the target.
        """
        for name in _heads_in_progress(self._common):
            if name in (self._ref, self.name):
                raise TargetInUse(
                    f"A worktree is in the middle of a rebase or a bisection of {escape(self.name)}",
                    hint="The merge queue goes on when it has ended.",
                )
        return [
            tree.path
            for tree in worktrees(self._git)
            if tree.branch == self.name and belongs(tree.path, self._common)
        ]

    def _check_free(self, tree: str, old: str, new: str) -> None:
        """Check that a worktree can get the new files without a change of anybody's work.

        Raises:
            TargetInUse: It cannot.
        """
        git = Git(tree, settings=UNATTENDED)
        git.run("update-index", "-q", "--refresh", accepted=None)
        self._read_tree(git, "-n", old, new)
        # Git itself would overwrite what it ignores, such as a file with settings.
        added = git.parts("diff-tree", "-r", "-z", "--name-only", "--diff-filter=A", old, new)
        there = [path for path in added if os.path.lexists(os.path.join(tree, path))]
        there += [path for path in _files_above(tree, added) if path not in there]
        ignored = git.parts("ls-files", "--others", "-z", "--", *there) if there else []
        if ignored:
            names = first_of(ignored, _SHOWN, escape)
            raise self._in_the_way(tree, f"untracked files are in the way: {names}")

    def _read_tree(self, git: Git, *words: str) -> None:
        try:
            git.run("read-tree", "-m", "-u", *words)
        except GitFailed as error:
            raise self._in_the_way(git.folder, error.message) from None

    def _in_the_way(self, tree: str, why: str) -> TargetInUse:
        return TargetInUse(
            f"{escape(self.name)} is checked out in {escape(tree)}, and the merge would change work in it:"
            f" {why}",
            hint="Commit or stash that work, or check out another branch there;"
            " the merge queue then continues automatically.",
            folder=tree,
        )


def left_behind(
    folder: str, common: str, has_ended: Callable[[int, str, str], bool]
) -> list[Target]:
    """Remove the intents of changes that have ended, which a killed runner has left.

    Args:
        folder: Any worktree of the repository, or git's folder.
        common: Git's folder, which all worktrees share.
        has_ended: Whether a change has ended, given by its number, its commit, and the commit of the target
            that would contain it; empty if there was none yet.

    Returns:
        The targets whose worktrees do not have the new files yet.
    """
    git = Git(folder, settings=UNATTENDED)
    targets = []
    for name, ref in _refs_below(git, _INTENTS, _BEHIND).items():
        number, _, commit = name.removeprefix(_INTENTS).partition("-")
        intent = ref.to if ref.is_commit else ""
        if name.startswith(_BEHIND):
            targets.append(Target(folder, common, name.removeprefix(_BEHIND)))
        elif number.isdecimal() and has_ended(int(number), commit, intent):
            git.run("update-ref", "-d", name)
    return targets


class _Ref(msgspec.Struct, frozen=True):
    """What the ref of a change is set to: an intent, or a mark."""

    to: str
    is_commit: bool


_NO_REF = _Ref("", is_commit=False)


def _ref_name(change: SubmittedChange) -> str:
    """The ref of a change; it counts for this commit only."""
    return f"{_INTENTS}{change.number}-{change.commit}"


def _refs_below(git: Git, *places: str) -> dict[str, _Ref]:
    """The refs in some places, by their names."""
    words = "--format=%(refname) %(objecttype) %(objectname)"
    parts = (line.split(" ") for line in git.text("for-each-ref", words, *places).splitlines())
    return {name: _Ref(to, kind == "commit") for name, kind, to in parts}


def _heads_in_progress(common: str) -> list[str]:
    """The branches that a rebase or a bisection in some worktree goes back to."""
    names = []
    top = glob.escape(common)
    for base in (top, os.path.join(top, "worktrees", "*")):
        for file in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
            for path in glob.glob(os.path.join(base, file)):
                with suppress(OSError), open(path, "rb") as opened:
                    names.append(decoded(opened.read(4096)).strip())
    return names


def _files_above(tree: str, paths: Iterable[str]) -> list[str]:
    """The files in a worktree that are where some paths need a folder."""
    above = {path[:i] for path in paths for i, letter in enumerate(path) if letter == "/"}
    places = ((path, os.path.join(tree, path)) for path in above)
    return [path for path, place in places if os.path.islink(place) or os.path.isfile(place)]
