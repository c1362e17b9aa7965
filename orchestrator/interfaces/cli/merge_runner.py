"""``orc merge run`` and ``trust``: the runner of the merge queue, and the tests that it may run."""

import gc
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MERGE
from orchestrator.interfaces.cli.event_queue import json_line
from orchestrator.interfaces.cli.parameters import flag, option
from orchestrator.interfaces.cli.rendering import Answer, note, present, say, write
from orchestrator.interfaces.cli.run import Run, given
from orchestrator.interfaces.cli.trusting import TRUSTING, settle, trust_page

if TYPE_CHECKING:
    from orchestrator.domain.merges.records import Submission
    from orchestrator.trees.merge_queue import QueueRound

RUNNER = "merge-queue"
"""The agent that merges, if none is named."""


@MERGE.command("run", example="run --once --test 'make test'", local=True)
@flag("--once", "End when nothing can be merged now; the default.")
@flag("--watch", "Keep merging what is submitted, until the process is ended.")
@option("--batch", "How many branches are merged and tested together.", types.POSITIVE)
@option(
    "--test",
    "Run this command on the merged files instead of the tests in config.toml; it runs without a shell.",
    name="tests",
    many=True,
    commas=False,
)
@option("--retries", "How often failed tests run again before a branch goes back.", types.COUNT)
def run_(
    run: Run,
    once: bool,
    watch: bool,
    batch: int | None,
    tests: tuple[str, ...] | None,
    retries: int | None,
) -> "Answer[QueueRound] | None":
    """Merge the submitted branches: test the merged files, and then move the target.

    The merges are made and tested in a private worktree. If a worktree has checked out the target, its files
    are updated there, too. Several runners never take the same branch. A branch goes back to its author if
    it conflicts or fails a test. The exit status is 1 if a target cannot be moved now.
    """
    from orchestrator.trees.merge_policy import policy_of
    from orchestrator.trees.merge_queue import MergeQueue
    from orchestrator.trees.preparation import Preparation
    from orchestrator.trees.registered import RepositoryTrees

    if once and watch:
        raise UsageError("--once and --watch are given: leave one of them out")
    gc.enable()  # `process` has disabled it for commands that end soon
    with run.lasting() as orc:
        place = RepositoryTrees(orc.engine.folder)
        queue = MergeQueue(
            orc,
            place.git.folder,
            Preparation(orc.engine).folder(place.main),
            policy_of(orc.engine, tests=tests, batch=batch, retries=retries),
            runner=run.settings.agent or RUNNER,
            tell=note,
            **given(report=(lambda ended: _report(run, ended)) if watch else None),
        )
        if watch:
            queue.watch()
        done = queue.round()
    waiting = [f"{escape(target)} waits: {escape(why)}" for target, why in done.waiting.items()]
    text = "\n".join([*map(_line, done.ended), *waiting]) or "Nothing waits to be merged."
    return say(done, text, int(bool(done.waiting)))


class _TestTrust(msgspec.Struct):
    """The tests of the merge queue, and whether they are trusted.

    Attributes:
        test: The commands.
    """

    test: tuple[str, ...]
    trusted: bool


@MERGE.command("trust", example="trust --yes", reads=("yes", "revoke"), local=True)
@TRUSTING
def trust(run: Run, yes: bool, revoke: bool) -> "Answer[_TestTrust]":
    """Show the tests of `[merge]` in `config.toml`, and allow them on this machine with --yes.

    If they change, they must be allowed again.
    """
    from orchestrator.trees.merge_policy import merge_tests

    tests = merge_tests(run.orc.engine)
    settle(tests, yes=yes, revoke=revoke)
    return present(_TestTrust(tests.settings.test, tests.is_trusted), _trust_page)


def _trust_page(view: _TestTrust) -> str:
    if not view.test:
        return "config.toml names no tests for the merge queue."
    return trust_page([f"test: {escape(command)}" for command in view.test], view.trusted)


def _report(run: Run, ended: "Submission") -> None:
    text = json_line(ended) if run.settings.json else _line(ended)
    write(f"{text}\n".encode("utf-8", "replace"))


def _line(submission: "Submission") -> str:
    names = f"{submission.number}: {escape(submission.branch)} into {escape(submission.target)}"
    if submission.status == "merged":
        return f"Merged {names} as {submission.merge_commit[:12]}"
    return f"Returned {names}: {escape(submission.reason)}"
