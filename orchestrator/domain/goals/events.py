"""The events of goals."""

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.goals.records import Goal, GoalMove, GoalOutcome
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import append_to, remove_from


class GoalEvent(Event):
    """An event of one goal."""

    goal: str


@event("goal.created")
class GoalCreated(GoalEvent):
    """A goal was created."""

    due: str
    description: str = ""
    tasks: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        state.goals[self.goal] = Goal(
            name=self.goal,
            due=self.due,
            description=self.description,
            tasks=self.tasks,
            created_at=record.ts,
            created_by=record.agent,
        )
        for task in self.tasks:
            append_to(state.goals.goals_of, task, self.goal)


@event("goal.edited")
class GoalEdited(GoalEvent):
    """The date or the description changed; None means unchanged."""

    due: str | None = None
    description: str | None = None
    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        if self.description is not None:
            state.goals.change(self.goal, description=self.description)
        if self.due is not None:
            goal = state.goals[self.goal]
            move = GoalMove(
                event=record.id,
                moved_at=record.ts,
                agent=record.agent,
                before=goal.due,
                after=self.due,
                reason=self.reason,
            )
            state.goals.change(self.goal, due=self.due, moves=(*goal.moves, move))


@event("goal.tasks_changed")
class GoalTasksChanged(GoalEvent):
    """Tasks were added to a goal, or removed from it."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        for task in self.removed:
            remove_from(state.goals.goals_of, task, self.goal)
        for task in self.added:
            append_to(state.goals.goals_of, task, self.goal)
        kept = (task for task in state.goals[self.goal].tasks if task not in self.removed)
        state.goals.change(self.goal, tasks=(*kept, *self.added))


@event("goal.ended")
class GoalEnded(GoalEvent):
    """A goal was reached or dropped."""

    outcome: GoalOutcome
    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.goals.change(
            self.goal,
            status=self.outcome,
            ended_at=record.ts,
            ended_by=record.agent,
            reason=self.reason,
        )


@event("goal.reopened")
class GoalReopened(GoalEvent):
    """A goal that was reached or dropped is open again."""

    def apply(self, state: State, record: Recorded) -> None:
        state.goals.change(self.goal, status="open", ended_at="", ended_by="", reason="")
