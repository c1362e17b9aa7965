# Written by tests/async_stub.py.

import builtins
import orchestrator.core.progress
import orchestrator.domain.agents.commands
import orchestrator.domain.agents.dispatch
import orchestrator.domain.agents.hooks
import orchestrator.domain.agents.sessions
import orchestrator.domain.board.saved
import orchestrator.domain.convoys.commands
import orchestrator.domain.decisions.commands
import orchestrator.domain.event_log
import orchestrator.domain.goals.commands
import orchestrator.domain.knowledge.records
import orchestrator.domain.locks.commands
import orchestrator.domain.mail.commands
import orchestrator.domain.merges.commands
import orchestrator.domain.permissions.commands
import orchestrator.domain.subscriptions.commands
import orchestrator.domain.tasks.batch
import orchestrator.domain.tasks.commands
import orchestrator.domain.tasks.dependencies
import orchestrator.domain.tasks.records
import orchestrator.domain.tasks.reviews
import orchestrator.domain.workflows.commands
import orchestrator.domain.workstreams.commands
import orchestrator.formulas.commands
import orchestrator.index.commands
import orchestrator.index.topics
import orchestrator.planning.aftermath
import orchestrator.planning.cycle_report
import orchestrator.planning.next_work
import orchestrator.planning.prime
import orchestrator.planning.records
import orchestrator.reports.lint
import orchestrator.reports.metrics
import orchestrator.reports.report.records
import orchestrator.reports.similar
import orchestrator.reports.spans
import orchestrator.reports.stats
import orchestrator.reports.status
import orchestrator.reports.timeline
import orchestrator.supervisor.embedded
import orchestrator.terminals.commands
import orchestrator.trees.patrol
import orchestrator.trees.worktrees

class Facade:
    workstreams: orchestrator.domain.workstreams.commands.Workstreams
    tasks: orchestrator.domain.tasks.commands.Tasks
    batch: orchestrator.domain.tasks.batch.Batch
    links: orchestrator.domain.tasks.dependencies.Links
    reviews: orchestrator.domain.tasks.reviews.Reviews
    agents: orchestrator.domain.agents.commands.Agents
    hooks: orchestrator.domain.agents.hooks.Hooks
    dispatch: orchestrator.domain.agents.dispatch.Dispatch
    sessions: orchestrator.domain.agents.sessions.Sessions
    locks: orchestrator.domain.locks.commands.Locks
    knowledge: orchestrator.index.topics.RankedKnowledge
    decisions: orchestrator.domain.decisions.commands.Decisions
    goals: orchestrator.domain.goals.commands.Goals
    mail: orchestrator.domain.mail.commands.Mail
    convoys: orchestrator.domain.convoys.commands.Convoys
    formulas: orchestrator.formulas.commands.Formulas
    workflows: orchestrator.domain.workflows.commands.Workflows
    saved: orchestrator.domain.board.saved.Saved
    events: orchestrator.domain.event_log.Events
    subscriptions: orchestrator.domain.subscriptions.commands.Subscriptions
    supervisor: orchestrator.supervisor.embedded.Supervisor
    patrols: orchestrator.trees.patrol.Patrols
    terminals: orchestrator.terminals.commands.Terminals
    permissions: orchestrator.domain.permissions.commands.Permissions
    merges: orchestrator.domain.merges.commands.Merges
    worktrees: orchestrator.trees.worktrees.Worktrees
    index: orchestrator.index.commands.Index
    def status(self, at: int | None = ...) -> orchestrator.reports.status.Status:
        """Return the status of the board, now or right after an event.

        For a past event, leases are judged by its time; the last activity of agents is
        known only for the present.

        Raises:
            NotFound: There is no such event.
        """
    def stats(self, *, workstream: str | None = ..., agent: str | None = ..., days: int | None = ..., progress: orchestrator.core.progress.ShowProgress = ...) -> orchestrator.reports.stats.Stats:
        """Count tasks, archived ones included.

        Args:
            workstream: Only tasks of this workstream.
            agent: Only tasks that this agent has or was the last to have.
            days: Only tasks that changed in so many days, today included.
            progress: Shows how many archived tasks are read.

        Raises:
            NotFound: There is no such workstream.
            UsageError: The number of days is out of range.
        """
    def metrics(self, *, days: int = ..., workstream: str | None = ..., agent: str | None = ..., progress: orchestrator.core.progress.ShowProgress = ...) -> orchestrator.reports.metrics.Metrics:
        """Measure the last days.

        Args:
            days: How many days, today (UTC) included.
            workstream: Only tasks of this workstream.
            agent: Only tasks that this agent has or was the last to have.
            progress: Shows how many archived tasks are read.

        Raises:
            NotFound: There is no such workstream.
            UsageError: The number of days is out of range.
        """
    def report(self, *, since: str | int | None = ..., until: str | None = ..., workstream: str | None = ..., progress: orchestrator.core.progress.ShowProgress = ...) -> orchestrator.reports.report.records.BoardReport:
        """Report what was done, how the work flows, and when the rest will be done.

        Args:
            since: Where it begins: after this event id, at this time, or so long ago (``7d``); else at the
                first event.
            until: Where it ends; the board is reported as it stood then.
            workstream: Only tasks of this workstream.
            progress: Shows the progress of reading and simulating.

        Raises:
            NotFound: There is no such workstream.
            UsageError: ``since`` or ``until`` is no moment, or nothing lies between them.
        """
    def outlook(self, goal: str, *, progress: orchestrator.core.progress.ShowProgress = ...) -> orchestrator.reports.report.records.GoalOutlook:
        """Return how far a goal is, and whether its tasks will have ended by its date.

        Args:
            goal: Its name.
            progress: Shows the progress of reading and simulating.

        Raises:
            NotFound: There is no such goal.
        """
    def lint(self, workstream: str | None = ..., *, where: str = ...) -> builtins.list[orchestrator.reports.lint.Flaw]:
        """Return what is not well with open tasks, each with the command that mends it.

        Args:
            workstream: Only of this stream.
            where: Only of tasks that pass this expression; see :mod:`orchestrator.domain.tasks.where`.
        """
    def timeline(self, subject: str | None = ..., *, workstream: str | None = ..., agent: str | None = ..., type: str | None = ..., since: str | int | None = ..., before: int | None = ..., last: int = ...) -> orchestrator.reports.timeline.Timeline:
        """Return what happened, oldest first, with the time between: on the board, or about what is named.

        Args:
            subject: A task, workstream or agent, whichever has this name.
            workstream: Only what was about this workstream and its tasks.
            agent: Only what this agent did.
            type: Only events of this type; ``task.*`` is every type of a noun.
            since: From this time on, that long ago (``2h``), or after this event.
            before: Only before the event with this id.
            last: At most so many events, the newest ones.

        Raises:
            NotFound: Nothing has this name.
            Refused: Several things have it.
        """
    def spans(self, *, since: str | int | None = ..., agent: str | None = ...) -> builtins.list[orchestrator.reports.spans.WorkSpan]:
        """Return the spans of work that ended after a time or go on, in the order of their beginning.

        Args:
            since: From this time on, that long ago (``2h``), or after this event; a day ago if not given.
            agent: Only those of this agent.
        """
    def similar(self, text: str, *, where: str = ..., limit: int = ...) -> builtins.list[orchestrator.reports.similar.Similar]:
        """Return the tasks that are like another one or like a text, the most like first.

        Args:
            text: A task, by its id or prefix, or a title.
            where: Only tasks that pass this expression; see :mod:`orchestrator.domain.tasks.where`.
            limit: At most so many.
        """
    def next(self, workstream: str | None = ..., *, agent: str | None = ..., review: bool = ..., mail: bool = ..., wait: float | str = ..., lease: float | str | None = ...) -> orchestrator.planning.next_work.Next:
        """Claim what an agent should do next: a task, or a review of the work of another.

        The order: the task on its hook, a task that is assigned to it, a review that it suits, the best ready
        task. Otherwise the answer is its new mail, or the reason why there is no work.

        Args:
            workstream: Only tasks of this stream; None for all.
            agent: Who asks; needed.
            review: Also hand out reviews.
            mail: Also answer with mail that no earlier answer announced.
            wait: How long to wait for one of these, or for the end of all tasks.
            lease: How long the claim lasts, as ``30m`` or seconds.
        """
    def plan(self, *, max: int = ..., agent: str | None = ...) -> orchestrator.planning.records.Plan:
        """Begin the next cycle with a plan, and keep the plan in the log.

            Args:
                max: How many tasks may run side by side.
                agent: Who plans.

            Raises:
                UsageError: ``max`` is less than 1.
            """
    def brief(self, target: str, *, budget: int = ..., prog: str = ..., agent: str | None = ...) -> str:
        """Write the brief of a workstream's best ready task, or of a task.

        Args:
            target: A workstream, else the id of a task or a prefix of it.
            budget: Tokens that the whole brief may have; a token is 4 characters.
            prog: What the commands in it begin with, such as ``python cli.py``.
            agent: The reader, for the commands.

        Raises:
            NotFound: There is neither, or the workstream has no ready task (``nothing_ready``).
        """
    def prime(self, agent: str | None = ..., *, budget: int = ..., if_changed: bool = ..., prog: str = ...) -> orchestrator.planning.prime.Prime:
        """Return what an agent needs at the start of a session: its work, reviews, mail, the board, and the loop.

        Args:
            agent: The agent that starts; None for the one that the board was opened for.
            budget: The largest number of tokens; parts that are left out are named.
            if_changed: Return no text if the agent was shown the same work, reviews and mail last time; see
                :func:`remember`.
            prog: How this agent calls the command line.

        Raises:
            UsageError: No agent is named.
        """
    def primed(self, shown: orchestrator.planning.prime.Prime) -> None:
        """Record that the agent was shown this text and its mail: ``if_changed`` does not show it again."""
    def aftermath(self, task: orchestrator.domain.tasks.records.Task, *, agent: str | None = ...) -> orchestrator.planning.aftermath.Aftermath:
        """Return the consequences of the last transition of a task.

        Args:
            task: The task after the transition.
            agent: The agent of the transition; None for the agent of the last event of the task.
        """
    def collect(self, *, cycle: int | None = ..., since: str | int | None = ...) -> orchestrator.planning.cycle_report.Collected:
        """Report the present cycle, an earlier one, or everything since a moment.

        Args:
            cycle: The number of a cycle: from its plan to the next.
            since: The id of an event, a time, or a duration before now (``2h``).

        Raises:
            NotFound: There was no such cycle.
            UsageError: Both are given, or ``since`` is neither.
        """
    def save_report(self, topic: str, *, cycle: int | None = ..., since: str | int | None = ..., agent: str | None = ...) -> orchestrator.domain.knowledge.records.Topic:
        """Write the report of a cycle into the knowledge base.

            Args:
                topic: The topic to write.
                cycle: As for :func:`orchestrator.planning.collect.collect`.
                since: As for the same.
                agent: Who writes.
            """
