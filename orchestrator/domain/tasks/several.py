"""Commands that change several tasks in one commit: all of them, or none."""

from collections.abc import Iterable
from typing import Literal

from orchestrator.core import clock
from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Committed, Transaction, command
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.board import FILE
from orchestrator.domain.merges.policy import due_with
from orchestrator.domain.state import State
from orchestrator.domain.tasks import archive
from orchestrator.domain.tasks.events import (
    RENEWED,
    TaskArchived,
    TaskDeleted,
    TaskEvent,
    TaskMoved,
    archived,
    cancelled,
)
from orchestrator.domain.tasks.given_facts import check_fact
from orchestrator.domain.tasks.lookup import find_live, resolve, resolve_all
from orchestrator.domain.tasks.queries import TaskQueries
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.transitions import check_transition
from orchestrator.domain.validation import check_text

Verb = Literal["complete", "fail", "release", "block", "unblock", "cancel", "reopen"]
"""A transition that several tasks can make in one commit."""


def archived_tasks(state: State, events: Committed) -> list[Task]:
    """Return the records of the tasks that were archived."""
    return [event.record for _, event in events if isinstance(event, TaskArchived)]


def named_tasks(state: State, events: Committed) -> list[Task]:
    """Return the tasks that a command of several tasks changed, each once."""
    changed = (event for _, event in events if isinstance(event, TaskEvent))
    tasks = dict.fromkeys(event.task for event in changed if not isinstance(event, RENEWED))
    return [state.tasks[task] for task in tasks]


def deleted_tasks(state: State, events: Committed) -> list[Task]:
    """Return the records of the tasks that were deleted."""
    return [event.record for _, event in events if isinstance(event, TaskDeleted)]


class SeveralTasks(TaskQueries):
    """The commands of ``orc.tasks`` that take several tasks."""

    def each(
        self, verb: Verb, tasks: Iterable[str], *, text: str = "", agent: str | None = None
    ) -> list[Task]:
        """Make one transition with several tasks, in their order and in one commit: all of them, or none.

        Args:
            verb: The command that each of them would be given alone.
            tasks: Ids or prefixes.
            text: The result of each of them, or the reason.
            agent: Who acts.

        Returns:
            The tasks, as the commit left them; one that was so before is no error.

        Raises:
            Refused: One of them cannot make the transition, or has checks that must run (``checks_due``).
            UsageError: Two of them are the same task.
        """
        named = tuple(tasks)
        words = {} if verb == "unblock" else {"result" if verb == "complete" else "reason": text}

        def within(tx: Transaction[State]) -> None:
            for task_id in resolve_all(tx.state, named):
                if verb == "complete":
                    _check_nothing_due(tx, find_live(tx.state, task_id))
                getattr(self, verb)(task_id, agent=agent, **words)

        def shows(state: State, _: Committed) -> list[Task]:
            return [state.tasks[resolve(state, task)] for task in named]

        return self._desk.run("tasks.each", within, shows, (verb, named, text, agent))

    @command(named_tasks)
    def label(
        self,
        tx: Transaction[State],
        tasks: Iterable[str],
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        agent: str | None = None,
    ) -> list[Task]:
        """Add labels to tasks and remove others, in one commit.

        Args:
            tasks: Ids or prefixes.
            add: What each of them has then; at its end, if it is new there.
            remove: What none of them has then. A label that is not there is no error.
            agent: Who changes them.

        Returns:
            The tasks that changed; all of them if none did.
        """
        from orchestrator.domain.tasks.judged import change_facts

        tx.act_as(agent)
        named = [find_live(tx.state, task) for task in resolve_all(tx.state, tasks)]
        more, less = check_fact("labels", add), check_fact("labels", remove)
        for task in named:
            labels = dict.fromkeys((*task.labels, *more))
            kept = tuple(label for label in labels if label not in less)
            if kept != task.labels:
                change_facts(tx, task, {"labels": kept})
        return named

    @command(named_tasks)
    def move(
        self,
        tx: Transaction[State],
        tasks: Iterable[str],
        workstream: str,
        *,
        agent: str | None = None,
    ) -> list[Task]:
        """Move tasks to another workstream, in one commit; their parts go with them.

        What a task waits for, its lease and its history stay as they are.

        Args:
            tasks: Ids or prefixes.
            workstream: Where they belong then; must be active.
            agent: Who moves them.

        Returns:
            The tasks that moved, parts included; the named tasks if none had to move.
        """
        from orchestrator.domain.tasks.deletion import with_parts

        tx.act_as(agent)
        tx.state.workstreams.find_active(workstream)
        named = [find_live(tx.state, task) for task in resolve_all(tx.state, tasks)]
        parts = [part for task in named for part in with_parts(tx.state, task)]
        for part in dict.fromkeys(parts):
            if tx.state.tasks[part].workstream != workstream:
                tx.record(TaskMoved(task=part, workstream=workstream))
        return named

    @command(deleted_tasks)
    def delete(
        self,
        tx: Transaction[State],
        tasks: Iterable[str],
        *,
        reason: str = "",
        agent: str | None = None,
    ) -> None:
        """Delete tasks, in one commit: no list shows them and nothing counts them any more.

        An open one is cancelled first. Its id is not used again, and ``show`` and the log keep its history.

        Args:
            tasks: Ids or prefixes.
            reason: Why.
            agent: Who deletes them.

        Returns:
            The tasks as they were.

        Raises:
            Refused: An open task that stays needs one of them (``needed``), has it as an open part or is a
                part of it (``has_parts``), or it belongs to a workflow (``of_a_workflow``).
        """
        from orchestrator.domain.tasks.deletion import check_deletable
        from orchestrator.domain.tasks.judged import drop_part

        act_in_session(tx, agent)
        why = check_text("reason", reason)
        chosen = dict.fromkeys(resolve_all(tx.state, tasks))
        for task_id in chosen:
            act_in_session(tx, agent, task=task_id)
            check_deletable(tx.state, find_live(tx.state, task_id), chosen)
        for task_id in chosen:
            task = tx.state.tasks[task_id]
            if task.status not in ENDED:
                tx.record(cancelled(task, why))
                drop_part(tx, task, reason)
        for task_id in chosen:
            tx.record(TaskDeleted(record=tx.state.tasks[task_id], reason=why))

    @command(archived_tasks)
    def archive(
        self,
        tx: Transaction[State],
        tasks: Iterable[str] = (),
        *,
        older_than: float | str | None = None,
        agent: str | None = None,
    ) -> None:
        """Remove ended tasks from the state; the log, ``t show``, counts and needs keep them.

        Args:
            tasks: Ids or prefixes.
            older_than: Also every task that ended so long ago (``30d``).
            agent: Who acts.

        Raises:
            Refused: A named task has not ended.
        """
        tx.act_as(agent)
        chosen = [find_live(tx.state, task) for task in tasks]
        for task in chosen:
            check_transition(task, "archive")
            if archive.is_of_wisp(tx.state, task):
                raise Refused(
                    f"Task {task.id} belongs to a wisp, which leaves the board as a whole",
                    code="of_a_wisp",
                    hint="`formula squash` and `formula burn` end it.",
                )
        if older_than is not None:
            limit = tx.later(-clock.duration(older_than))
            chosen += [
                task
                for task in tx.state.tasks.values()
                if task.status in ENDED
                and (task.ended_at or task.updated_at) <= limit
                and not archive.is_of_wisp(tx.state, task)
            ]
        for task in {task.id: task for task in chosen}.values():
            tx.record(archived(tx.state, task))


def _check_nothing_due(tx: Transaction[State], task: Task) -> None:
    """Refuse a task whose checks must run or whose branch is looked at, which no other command may wait for.

    Raises:
        Refused: It is one.
    """
    has_checks = task.checks is not None and task.checks.are_due
    if task.status == "in_progress" and (
        has_checks or due_with(tx.state, tx.read_document(FILE), task)
    ):
        what = "has checks, which run" if has_checks else "may have a branch, which is looked at"
        raise Refused(
            f"Task {task.id} {what} before it is done",
            code="checks_due",
            hint=f"`t complete {task.id}` completes it alone.",
        )
