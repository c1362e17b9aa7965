"""Make the commits of merges from git's objects: no working tree and no ref changes, and no hook runs.

Git computes the merged files (``merge-tree``), and a commit is made of them (``commit-tree``). The commits
are not signed, and hooks such as ``pre-commit`` and ``commit-msg`` do not run: whoever wants their checks
names them as tests of the merge queue.
"""

import os
from collections.abc import Mapping, Sequence

import msgspec

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.git import Git, GitFailed, GitResult, decoded
from orchestrator.core.printable import escape, one_line
from orchestrator.domain.merges.records import ReturnKind, Strategy

UNATTENDED = {
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
    "maintenance.auto": "false",
}
"""Settings for git when nobody watches it: no hook runs, and no collection of garbage."""

NAME, EMAIL = "merge queue", "merge-queue@localhost"
"""Who makes the commits if git does not know the user."""

_QUEUE = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", NAME), ("EMAIL", EMAIL))
}

_UNKNOWN = "auto-detection is disabled"
"""What git says when it does not know the user."""

_SUBJECT = 200
"""Characters of the first line of a commit."""

_LISTED = 50
"""How many commits a squashed commit lists."""


class SubmittedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A submitted branch, as far as git is concerned.

    Attributes:
        number: The number of the submission.
        branch: The branch; it may be gone, or have moved on.
        commit: The submitted commit: what is merged.
        strategy: How it becomes a part of the target.
        title: What it is about, for the first line of a new commit.
        trailers: The last lines of each new commit: ``("Task", "299833bc")``.
    """

    number: int
    branch: str
    commit: str
    strategy: Strategy
    title: str
    trailers: tuple[tuple[str, str], ...] = ()


class CannotMerge(OrchestratorError):
    """A change cannot become a part of a commit.

    Args:
        kind: Why its submission is returned.
        reason: The reason, in one line.
        files: The files in conflict.
        output: What git says of them.
    """

    code = "cannot_merge"

    def __init__(
        self, kind: ReturnKind, reason: str, files: Sequence[str] = (), output: str = ""
    ) -> None:
        super().__init__(reason)
        self.kind: ReturnKind = kind
        self.files = tuple(files)
        self.output = output


class Merging:
    """Puts changes on top of commits.

    Args:
        git: The repository. In a worktree, its ``.gitattributes`` say how files are merged.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._committer: dict[str, str] = {}  # of the user, unless git does not know the user

    def add(self, change: SubmittedChange, onto: str, target: str) -> str:
        """Make a commit that adds a change to another commit.

        Args:
            change: The change.
            onto: The other commit.
            target: The branch that the commit is for.

        Returns:
            The commit; ``onto`` itself if it has everything of the change already.

        Raises:
            CannotMerge: The change cannot be merged.
        """
        if change.strategy == "rebase":
            return self._rebase(change, onto)
        tree = self._merged(onto, change.commit)
        if change.strategy == "squash":
            return self._squash(change, onto, tree)
        body = f"{_line(f'Merge {change.branch} into {target}')}\n\n{_line(change.title)}"
        return self._commit(tree, (onto, change.commit), _with_trailers(body, change.trailers))

    def _squash(self, change: SubmittedChange, onto: str, tree: str) -> str:
        if tree == self._git.text("rev-parse", f"{onto}^{{tree}}"):
            return onto
        listed = self._git.text(
            "log", "--reverse", f"--max-count={_LISTED}", "--format=- %s", change.commit, f"^{onto}"
        )
        body = f"{_line(change.title)}\n\n{listed}"
        text = _with_trailers(body, change.trailers)
        return self._commit(tree, (onto,), text, author=self._author(change.commit))

    def _rebase(self, change: SubmittedChange, onto: str) -> str:
        """Put the commits of a branch on top of a commit, one after the other."""
        lines = self._git.text(
            *("rev-list", "--reverse", "--topo-order", "--parents"),
            *("--right-only", "--cherry-pick", f"{onto}...{change.commit}"),
        )
        tip, tree = onto, self._git.text("rev-parse", f"{onto}^{{tree}}")
        for line in lines.splitlines():
            commit, *parents = line.split()
            if len(parents) > 1:
                raise CannotMerge(
                    "invalid",
                    f"The branch has the merge {commit[:12]}, which a rebase would lose:"
                    " rebase the branch, or submit it with another strategy",
                )
            merged = self._picked(tree, commit, parents)
            if merged == tree and not self._is_empty(commit, parents):
                continue  # the target has it already
            tip, tree = self._copy(commit, merged, tip, change.trailers), merged
        return tip

    def _picked(self, tree: str, commit: str, parents: Sequence[str]) -> str:
        """The files of a tree with what one commit changed."""
        # A second child of the same parent, with these files: git then merges what the commit changed.
        if not parents:
            raise CannotMerge("invalid", f"The commit {commit[:12]} has no history in common")
        beside = self._commit(tree, (parents[0],), "The files below a commit\n")
        return self._merged(beside, commit)

    def _is_empty(self, commit: str, parents: Sequence[str]) -> bool:
        trees = self._git.text("rev-parse", f"{commit}^{{tree}}", f"{parents[0]}^{{tree}}").split()
        return trees[0] == trees[1]

    def _copy(
        self, commit: str, tree: str, parent: str, trailers: Sequence[tuple[str, str]]
    ) -> str:
        """Make a commit with the message and the author of another one."""
        message = self._git.run("log", "-1", "--format=%B", "--encoding=UTF-8", commit).output
        words = [f"--trailer={name}={value}" for name, value in trailers]
        text = self._git.run(
            *("interpret-trailers", "--no-divider", "--if-exists=addIfDifferent", *words),
            stdin=message,
        ).output
        return self._commit(tree, (parent,), text, author=self._author(commit))

    def _merged(self, ours: str, theirs: str) -> str:
        """The files of two commits merged into one tree.

        Raises:
            CannotMerge: There are conflicts, or it is not possible at all.
        """
        ended = self._git.run(
            *("merge-tree", "--write-tree", "-z", "--name-only", "--messages", ours, theirs),
            accepted=None,
        )
        tree, _, rest = ended.output.partition(b"\0")
        if ended.status == 0:
            return tree.decode()
        if ended.status != 1 or not rest:
            raise _failed(ended)
        names, _, said = rest.partition(b"\0\0")
        files = [decoded(name) for name in names.split(b"\0")]
        output = "".join(part for part in decoded(said).split("\0") if part.endswith("\n"))
        raise CannotMerge("conflict", "It conflicts with the target", files, output)

    def _commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str | bytes,
        author: Mapping[str, str] | None = None,
    ) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        settings = {"i18n.commitEncoding": "UTF-8", "user.useConfigOnly": "true"}
        git = Git(
            self._git.folder,
            settings=UNATTENDED | settings,
            variables={**self._committer, **(author or {})},
        )
        data = message.encode("utf-8", "replace") if isinstance(message, str) else message
        try:
            return git.text("commit-tree", tree, *words, stdin=data)
        except GitFailed as error:
            if self._committer or _UNKNOWN not in str(error.details["output"]):
                raise
        self._committer = _QUEUE
        return self._commit(tree, parents, message, author)

    def _author(self, commit: str) -> dict[str, str]:
        """The author of a commit, as variables of git."""
        facts = self._git.text(
            "log", "-1", "--format=%an%x00%ae%x00%ad", "--date=raw", "--encoding=UTF-8", commit
        )
        name, email, date = facts.split("\0")
        return {
            "GIT_AUTHOR_NAME": name or NAME,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_AUTHOR_DATE": f"@{date}",
        }


def _line(text: str) -> str:
    return escape(one_line(text, _SUBJECT))


def _with_trailers(body: str, trailers: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"{name}: {value}\n" for name, value in trailers)
    return f"{body.rstrip()}\n\n{lines}" if lines else f"{body.rstrip()}\n"


def _failed(ended: GitResult) -> OrchestratorError:
    """Why git could not even try to merge two commits."""
    if "unrelated histories" in ended.errors:
        return CannotMerge("invalid", "It has no history in common with the target")
    return GitFailed(
        f"`git merge-tree` failed: {escape(one_line(ended.errors, 300))}",
        status=ended.status,
        output=ended.errors,
    )
