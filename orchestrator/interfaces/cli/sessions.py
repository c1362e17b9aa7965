"""``orc session``, ``prime``, ``handoff``, ``done``, ``escalate``: how an agent begins and ends."""

import os
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from orchestrator.core import paths
from orchestrator.core.decoding import whole_number
from orchestrator.core.errors import NoBoard, OrchestratorError, UsageError
from orchestrator.core.printable import escape
from orchestrator.domain.agents.records import OUTCOMES, OVERSEER, SEVERITIES, Session
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, SESSION
from orchestrator.interfaces.cli.endings import COMPLETING, Ended, completed, ended
from orchestrator.interfaces.cli.layout import facts, parts, section, shown_time
from orchestrator.interfaces.cli.parameters import DRY_RUN, argument, flag, option, text_file
from orchestrator.interfaces.cli.rendering import Answer, present, say, warn
from orchestrator.interfaces.cli.run import Run, either, given, once
from orchestrator.interfaces.cli.task_words import Words, mine_or_named

if TYPE_CHECKING:
    from orchestrator.domain.tasks.records import Task
    from orchestrator.planning.prime import Prime

_AGENT = argument("[agent]", "The agent; else who acts.", types.AGENT_NAME)


@SESSION.command("start", example="start agent-1")
@_AGENT
def start(run: Run, agent: str | None) -> "Answer[Session]":
    """Begin a session: from now on commands of the agent's earlier sessions are refused."""
    run.orc.engine.note_machine()
    session = run.orc.sessions.start(run.actor(agent))
    return say(
        session,
        f"Session {session.incarnation} of {escape(session.agent)}."
        f" Set ORC_SESSION={session.incarnation} in its environment.",
    )


@SESSION.command("show", example="show agent-1", reads=True)
@_AGENT
def show(run: Run, agent: str | None) -> "Answer[Session]":
    """Show an agent's last session, with its note."""
    return present(run.orc.sessions.get(run.actor(agent)), _page)


@SESSION.command("end", example="end agent-1")
@_AGENT
def end(run: Run, agent: str | None) -> "Answer[Session]":
    """End the session of an agent that has left; its work and its notes stay."""
    session = run.orc.sessions.end(agent=run.actor(agent))
    return run.changed(
        session, f"Session {session.incarnation} of {escape(session.agent)} has ended."
    )


@BOARD.command("prime", example="prime agent-1 --if-changed", reads=True)
@_AGENT
@option("--budget", "Tokens that the text may have; 1000 if not given.", types.NAME, metavar="N")
@flag("--if-changed", "Print nothing without news since the last time.")
def prime(run: Run, agent: str | None, budget: str | None, if_changed: bool) -> "Answer[Prime]":
    """Print what an agent needs at the start of a session; it never fails.

    That is its work with the next step, reviews, mail, the board, the other agents, and the loop.
    """
    from orchestrator.planning.prime import BUDGET, Prime

    actor = run.actor(agent)
    name = actor or run.agent or ""
    primer = Prime(agent=name, text="", digest="", changed=False)
    try:
        if name:
            tokens = BUDGET if budget is None else _tokens(budget, BUDGET)
            how: Any = {"budget": tokens, "if_changed": if_changed, "prog": run.prog_as(name)}
            primer = run.orc.prime(actor, **how)
        else:
            primer = replace(
                primer, text=f"Choose a name and say who you are: `{run.prog} prime NAME`"
            )
    except NoBoard as error:
        primer = replace(primer, text=f"{error.message}. `{run.prog} init` makes one.")
    except (OrchestratorError, OSError) as error:
        warn(f"{error}. There is nothing to prime with.")
    shown = primer
    return Answer(shown, lambda: shown.text.rstrip("\n"), after=lambda: _primed(run, shown))


def _primed(run: Run, shown: "Prime") -> None:
    """Record that the agent was shown the text, if there is a board."""
    if shown.digest:
        run.orc.primed(shown)


def _tokens(text: str, usual: int) -> int:
    tokens = whole_number(text, 7)
    if tokens is None:
        warn(f"{text!a} is not a number of tokens: {usual} are used")
        return usual
    return tokens


@BOARD.command(
    "handoff", example='handoff -s "Tests are next" -m "The API works; see notes." --collect'
)
@option("--subject/-s", "One line for the next session.", default="")
@option("--message/-m", "What it should know.", default="")
@flag("--collect", "Note also open work, locks, unread mail and changed files.")
@flag("--keep", "Keep the session: leave the note, and go on, as before a compaction.")
@DRY_RUN
def handoff(
    run: Run, message: str, collect: bool, keep: bool, dry_run: bool, subject: str
) -> "Answer[Session]":
    """End the session with a note for the next one; the task on the hook stays there."""
    files = _changed_files(run.orc.folder) if collect else ()
    with run.rehearsed(dry_run):
        session = run.orc.sessions.handoff(
            subject=subject,
            note=message,
            collect=collect,
            files=files,
            **given(keep=keep or None),  # else the digest of older requests would be another one
        )
    verb = "note" if keep else "hand off"
    done = f"Would {verb}." if dry_run else "Noted." if keep else "Handed off."
    return Answer(session, lambda: parts(done, _page(session)))


@BOARD.command(
    "done", example='done 299833bc "Shipped as v1.0.2"', signed=("force",), idempotent=True
)
@argument(
    "[words...]",
    f"The task, mine if not given, and the result; or {', '.join(OUTCOMES)}.",
    types.TASK_ID,
    metavar="ID [RESULT...]",
)
@option("--message/-m", "The result; of an outcome also what is wrong, or why it has to wait.")
@text_file("the result")
@option("--until", "With DEFERRED: not before 2026-12-01, or 3d from now.", types.TIME, default="")
@COMPLETING
def done(
    run: Run, words: Words, message: str | None, file: str | None, until: str, **how: Any
) -> "Answer[Ended]":
    """Complete my task: the one on my hook, or the only one that I work on.

    It is `task complete`. With an outcome instead of a task it also ends the session: COMPLETED, ESCALATED
    (the task on my hook is blocked, and the overseer gets mail), DEFERRED (it is pending again).
    """
    message = either("result", message, file)
    outcome = words[0].upper() if words else ""
    if outcome in OUTCOMES:
        if any(how.values()):
            raise UsageError(
                "An outcome ends the session and takes --message and --until only",
                hint="`done ID` completes a task and leaves the session as it is.",
            )
        text = once("message", run.text_of(words[1:]), message) or ""
        finished = run.orc.sessions.done(outcome, message=text, until=until)
        return ended(run, finished.task, outcome, value=finished, checked=outcome == OUTCOMES[0])
    if until:
        raise UsageError("--until goes with DEFERRED", hint="`done DEFERRED --until 3d`")
    task, text = mine_or_named(run, words, option=message, name="result")
    return completed(run, task, text, **how)


@BOARD.command(
    "escalate",
    example='escalate "The key has expired" --severity high -m "Nothing can be deployed."',
)
@argument("topic", "One line that says what is wrong.")
@option("--severity", "medium if not given.", types.choice(*SEVERITIES), default="medium")
@option("--message/-m", "More about it.", default="")
@option("--task", "The task that it came up with; else mine.", types.TASK_ID)
@option("--ws", "Where the task for it belongs.", types.WORKSTREAM_NAME, name="workstream")
@option(
    "--to",
    f"Who gets the message; {OVERSEER} if not given.",
    types.NAME,
    metavar="TO",
    default=OVERSEER,
)
def escalate(run: Run, topic: str, message: str, to: str, **facts: Any) -> "Answer[Task]":
    """Report a problem: a task for it, and mail to the overseer."""
    made = run.orc.sessions.escalate(topic, message=message, to=to, **facts)
    return say(made, f"Escalated to {escape(to)}: {made.id} - {escape(made.title)}")


def _changed_files(board: str | None) -> tuple[str, ...]:
    """Uncommitted files of the git worktree here, without files of the board; none without git."""
    from orchestrator.core import repository
    from orchestrator.core.git import Git

    words = ("status", "--porcelain=v1", "-z", "--no-renames")
    try:
        entries = Git(os.getcwd()).parts(*words, timeout=10)
    except OrchestratorError:
        return ()
    place = repository.here(os.getcwd())
    own = _own_names(board, place.root) if board and place else ()
    changed = (os.fsencode(entry[3:]).decode("utf-8", "replace") for entry in entries)
    return tuple(name for name in changed if not f"{name}/".startswith(own))[:_FILES]


def _own_names(board: str, root: str) -> tuple[str, ...]:
    """The files of the board as git names them: a folder, or parts of a worktree that is the board."""
    inner = paths.inside(board, root)
    if inner == ".":
        return ("state/", "knowledge/", "formulas/", ".gitattributes/")
    return (f"{inner.replace(os.sep, '/')}/",) if inner else ()


_FILES = 50
"""Changed files that a handoff names."""


def _page(session: "Session") -> str:
    # An agent may hand off, or end its task with an outcome, without having begun a session.
    is_begun = session.incarnation > 0
    number = f" {session.incarnation}" if is_begun else ""
    return parts(
        f"Session{number} of {escape(session.agent)}",
        facts(
            session,
            ("began", lambda session: shown_time(session.started_at) if is_begun else ""),
            ("ended", "ended_at"),
            "outcome",
            ("handed off", "handed_off_at"),
            "subject",
        ),
        section("Note", session.note),
        section("Held", "\n".join(session.collected)),
    )
