"""Goals: a date with tasks, their progress, and the history of the date.

A goal ends only by a command, because more tasks may be added after all have ended. It is reached only if all
its tasks have ended. Ending a goal changes no task.
"""

from collections.abc import Iterable

from orchestrator.core import names
from orchestrator.core.errors import NotFound, Refused, UsageError
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.goals.events import (
    GoalCreated,
    GoalEdited,
    GoalEnded,
    GoalEvent,
    GoalReopened,
    GoalTasksChanged,
)
from orchestrator.domain.goals.progress import GoalStatus, goal_status
from orchestrator.domain.goals.records import Goal, GoalOutcome
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import titled
from orchestrator.domain.tasks.lookup import resolve_all
from orchestrator.domain.validation import check_line, check_text, parse_moment


def changed_goal(state: State, events: Committed) -> Goal:
    """The goal of the command, after the commit."""
    return state.goals[next(e.goal for _, e in events if isinstance(e, GoalEvent))]


class Goals(Noun[State]):
    """``orc.goals``: create, edit, add, remove, reach, drop, reopen; get, status, all."""

    @command(changed_goal)
    def create(
        self,
        tx: Transaction[State],
        name: str,
        tasks: Iterable[str] = (),
        *,
        due: str,
        description: str = "",
        agent: str | None = None,
    ) -> Goal | None:
        """Create a goal. If an equal goal exists (name, date, description, tasks), nothing changes.

        Args:
            name: Its name.
            tasks: Ids or prefixes, of any workstreams.
            due: The date for the end of the tasks; a day means its end.
            description: The purpose.
            agent: Who acts.

        Raises:
            NotFound: There is no such task.
            Refused: A different goal has this name.
        """
        tx.act_as(agent)
        new = GoalCreated(
            goal=name,
            due=parse_moment("due", due, tx.now),
            description=check_text("description", description),
            tasks=resolve_all(tx.state, tasks),
        )
        known = tx.state.goals.get(name)
        if known is not None:
            same = (known.due, known.description, {*known.tasks}) == (
                new.due,
                new.description,
                {*new.tasks},
            )
            if same and known.status == "open":
                return known
            raise Refused(
                f"There is a goal {name} already",
                code="goal_exists",
                hint=f"`goal show {name}` shows it; `goal edit {name}` changes it.",
            )
        names.name("goal", name, among=tx.state.goals)
        upgrade_for(tx, "goal")
        tx.record(new)
        return None

    @command(changed_goal)
    def edit(
        self,
        tx: Transaction[State],
        name: str,
        *,
        due: str | None = None,
        description: str | None = None,
        reason: str = "",
        agent: str | None = None,
    ) -> Goal:
        """Change the date or the description of a goal; it keeps a history of its dates.

        Args:
            name: The goal.
            due: The new date.
            description: The new description.
            reason: Why the date changes.
            agent: Who acts.

        Raises:
            NotFound: There is no such goal.
            Refused: It has ended.
            UsageError: Nothing is given.
        """
        tx.act_as(agent)
        goal = _find_open(tx.state, name)
        if due is None and description is None:
            raise UsageError("Nothing is to be changed", hint="Give --due or --description.")
        moved = None if due is None else parse_moment("due", due, tx.now)
        text = None if description is None else check_text("description", description)
        event = GoalEdited(
            goal=name,
            due=None if moved == goal.due else moved,
            description=None if text == goal.description else text,
            reason=check_line("reason", reason),
        )
        if event.due is not None or event.description is not None:
            tx.record(event)
        return goal

    @command(changed_goal)
    def add(
        self, tx: Transaction[State], name: str, tasks: Iterable[str], *, agent: str | None = None
    ) -> Goal:
        """Add tasks to a goal.

        Raises:
            NotFound: There is no such goal or task.
            Refused: The goal has ended.
        """
        tx.act_as(agent)
        goal = _find_open(tx.state, name)
        new = tuple(task for task in resolve_all(tx.state, tasks) if task not in goal.tasks)
        if new:
            tx.record(GoalTasksChanged(goal=name, added=new))
        return goal

    @command(changed_goal)
    def remove(
        self, tx: Transaction[State], name: str, tasks: Iterable[str], *, agent: str | None = None
    ) -> None:
        """Remove tasks from a goal; the tasks do not change.

        Raises:
            NotFound: There is no such goal, or it does not contain a task.
            Refused: The goal has ended.
        """
        tx.act_as(agent)
        goal = _find_open(tx.state, name)
        gone = resolve_all(tx.state, tasks)
        if missing := [task for task in gone if task not in goal.tasks]:
            raise NotFound(
                f"{missing[0]} is not a task of the goal {name}",
                code="not_in_goal",
                hint=f"`goal show {name}` lists its tasks.",
            )
        tx.record(GoalTasksChanged(goal=name, removed=gone))

    @command(changed_goal)
    def reach(self, tx: Transaction[State], name: str, *, agent: str | None = None) -> Goal:
        """End a goal as reached. If it was reached already, nothing changes.

        Raises:
            NotFound: There is no such goal.
            Refused: One of its tasks is open, or the goal was dropped.
        """
        tx.act_as(agent)
        goal = tx.state.goals.find(name)
        still = [task for task in goal.tasks if tx.state.tasks.is_open(task)]
        if still and goal.status == "open":
            raise Refused(
                f"The goal {name} has open tasks: {titled(tx.state, still)}",
                code="open_tasks",
                hint=f"`goal remove {name} {still[0]}` takes one out.",
                tasks=still,
            )
        return _end(tx, goal, "reached")

    @command(changed_goal)
    def drop(
        self, tx: Transaction[State], name: str, *, reason: str = "", agent: str | None = None
    ) -> Goal:
        """Give up a goal; its tasks do not change. If it was dropped already, nothing changes.

        Raises:
            NotFound: There is no such goal.
            Refused: It was reached.
        """
        tx.act_as(agent)
        return _end(tx, tx.state.goals.find(name), "dropped", check_line("reason", reason))

    @command(changed_goal)
    def reopen(self, tx: Transaction[State], name: str, *, agent: str | None = None) -> Goal:
        """Open a goal that has ended. If it is open, nothing changes.

        Raises:
            NotFound: There is no such goal.
        """
        tx.act_as(agent)
        goal = tx.state.goals.find(name)
        if goal.status != "open":
            tx.record(GoalReopened(goal=name))
        return goal

    # Queries

    def get(self, name: str) -> Goal:
        """Return a goal.

        Raises:
            NotFound: There is none of this name.
        """
        return self._state.goals.find(name)

    def all(self, *, ended: bool = False) -> list[Goal]:
        """Return the open goals, the next date first; with ``ended`` all of them."""
        goals = sorted(self._state.goals.values(), key=lambda goal: (goal.due, goal.name))
        return [goal for goal in goals if ended or goal.status == "open"]

    def status(self, name: str) -> GoalStatus:
        """Return the progress of a goal, with each of its tasks.

        Raises:
            NotFound: There is none of this name.
        """
        return goal_status(self._state, self.get(name), self._desk.now())


def _find_open(state: State, name: str) -> Goal:
    goal = state.goals.find(name)
    if goal.status != "open":
        raise Refused(
            f"The goal {name} was {goal.status}",
            code="illegal_step",
            hint=f"`goal reopen {name}` opens it.",
        )
    return goal


def _end(tx: Transaction[State], goal: Goal, outcome: GoalOutcome, reason: str = "") -> Goal:
    if goal.status != outcome:
        _find_open(tx.state, goal.name)
        tx.record(GoalEnded(goal=goal.name, outcome=outcome, reason=reason))
    return goal
