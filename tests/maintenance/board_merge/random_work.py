"""Random commands of every noun on a board, and what must not be lost of them."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from orchestrator import Orchestrator, OrchestratorError
from orchestrator.core.store import START
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep
from orchestrator.maintenance.board_merge.merge import MergeReport

Command = Callable[[Orchestrator, int, str], object]
"""Runs a command: on a board, with a random number, and a text that no other command has."""

AGENTS = ("ann", "bob", "rig/carl")
NAMES = ("alpha", "beta")
WISP = CompiledFormula(
    formula="made",
    steps=(
        CompiledStep(id="a", title="A"),
        CompiledStep(id="stone", title="S", needs=("a",), type="milestone"),
        CompiledStep(id="b", title="B", needs=("stone",)),
    ),
)


def _agent(n: int) -> str:
    return AGENTS[n % 3]


def _name(n: int) -> str:
    return NAMES[n % 2]


def _task(orc: Orchestrator, n: int) -> str:
    """One of the first tasks, so that both boards often change the same one."""
    ids = [*orc.engine.read().tasks]
    return ids[n % min(len(ids), 6)] if ids else "none"


def _held(orc: Orchestrator, n: int) -> str:
    held = [task.id for task in orc.engine.read().tasks.values() if task.assigned_to]
    return held[n % len(held)] if held else "none"


def _holder(orc: Orchestrator, resource: str) -> str:
    holders = orc.engine.read().locks.of(resource).holders
    return holders[0].agent if holders else "ann"


def _message(orc: Orchestrator, n: int) -> tuple[int, str]:
    boxes = orc.engine.read().mail.mailboxes
    held = [(message, agent) for agent, box in boxes.items() for _, message, _ in box.items()]
    return held[n % len(held)] if held else (0, "ann")


def _complete(orc: Orchestrator, n: int, text: str) -> object:
    task = orc.engine.read().tasks[_held(orc, n)]
    return orc.tasks.complete(task.id, result=text, agent=task.assigned_to or "ann")


def _end(orc: Orchestrator, n: int, text: str) -> object:
    task = orc.engine.read().tasks[_held(orc, n) if n % 2 else _task(orc, n)]
    if n % 2:
        return orc.tasks.fail(task.id, reason=text, agent=task.assigned_to or "ann")
    return orc.tasks.cancel(task.id, reason=text)


def _judge(orc: Orchestrator, n: int, text: str) -> object:
    waiting = [t.id for t in orc.engine.read().tasks.values() if t.status == "in_review"]
    task = waiting[n % len(waiting)] if waiting else "none"
    orc.reviews.claim(task, agent="zoe") if n % 3 == 0 else None
    return (
        orc.reviews.approve(task, comment=text, agent="zoe")
        if n % 2
        else orc.reviews.reject(task, reason=text, agent="zoe")
    )


def _work_on_wisp(orc: Orchestrator, n: int, text: str) -> object:
    wisps = [*orc.engine.read().workflows]
    if not wisps:
        return orc.workflows.pour(WISP, workstream="build", ephemeral=bool(n % 2))
    wisp = wisps[n % len(wisps)]
    return orc.workflows.squash(wisp, summary=text) if n % 2 else orc.workflows.burn(wisp)


def _answer(orc: Orchestrator, n: int, text: str) -> object:
    waiting = orc.permissions.pending()
    if not waiting:
        return orc.permissions._request("Bash", {"command": text}, _agent(n), 60.0)
    return orc.permissions.allow(waiting[0].id, agent="boss")


COMMANDS: dict[str, Command] = {
    "stream": lambda o, n, t: o.workstreams.create(_name(n), description=t, priority=n % 4),
    "edit stream": lambda o, n, t: o.workstreams.edit("build", description=t, priority=n % 4),
    "close": lambda o, n, t: o.workstreams.close(_name(n), reason=t),
    "reopen stream": lambda o, n, _: o.workstreams.reopen(_name(n)),
    "add": lambda o, n, t: o.tasks.add("build", title=t, labels=[f"l{n % 5}"], priority=n % 4),
    "add child": lambda o, n, t: o.tasks.add(
        "build", title=t, parent=_task(o, n), name=f"part{n % 2}"
    ),
    "add needing": lambda o, n, t: o.tasks.add("build", title=t, needs=[_task(o, n)]),
    "add checked": lambda o, n, t: o.tasks.add("build", title=t, review=True, verify=["true"]),
    "add touching": lambda o, n, t: o.tasks.add("build", title=t, touches=[f"src/{n % 2}"]),
    "link": lambda o, n, _: o.links.add(_task(o, n), _task(o, n // 7)),
    "title": lambda o, n, t: o.tasks.edit(_task(o, n), title=t),
    "labels": lambda o, n, _: o.tasks.edit(_task(o, n), labels=[f"l{n % 7}", f"l{n % 5}"]),
    "meta": lambda o, n, t: o.tasks.edit(_task(o, n), meta={f"k{n % 2}": t}),
    "description": lambda o, n, t: o.tasks.edit(_task(o, n), description=t, acceptance=t),
    "note": lambda o, n, t: o.tasks.note(_task(o, n), t, agent=_agent(n)),
    "claim": lambda o, n, _: o.tasks.claim(_task(o, n), agent=_agent(n), lease=60 + 600 * (n % 3)),
    "next": lambda o, n, _: o.tasks.next("build", agent=_agent(n)),
    "renew": lambda o, n, _: o.tasks.renew(_held(o, n)),
    "release": lambda o, n, t: o.tasks.release(_task(o, n), reason=t),
    "complete": _complete,
    "complete again": _complete,
    "end": _end,
    "block": lambda o, n, t: o.tasks.block(_task(o, n), reason=t),
    "unblock": lambda o, n, _: o.tasks.unblock(_task(o, n)),
    "reopen": lambda o, n, t: o.tasks.reopen(_task(o, n), reason=t),
    "judge": _judge,
    "archive": lambda o, n, _: o.tasks.archive(older_than=60 * (n % 20)),
    "delete": lambda o, n, t: o.tasks.delete([_task(o, n)], reason=t),
    "move": lambda o, n, _: o.tasks.move([_task(o, n)], _name(n)),
    "sling": lambda o, n, _: o.hooks.sling(_task(o, n), _agent(n // 3), agent="boss"),
    "lock": lambda o, n, _: o.locks.acquire(f"src/{n % 2}", agent=_agent(n // 2), ttl="10m"),
    "unlock": lambda o, n, _: o.locks.release(f"src/{n % 2}", agent=_holder(o, f"src/{n % 2}")),
    "write": lambda o, n, t: o.knowledge.write(
        _name(n), f"{t}\nmiddle\nend {n}\n", agent=_agent(n)
    ),
    "append": lambda o, n, t: o.knowledge.append(_name(n), t, agent=_agent(n)),
    "edit file": lambda o, n, t: o.engine.documents.write(f"knowledge/{_name(n)}.md", t.encode()),
    "forget": lambda o, n, _: o.knowledge.delete(_name(n)),
    "decide": lambda o, n, t: o.decisions.add(t, task=_task(o, n), agent=_agent(n)),
    "redecide": lambda o, n, t: o.decisions.edit(1 + n % 3, text=t),
    "supersede": lambda o, n, _: o.decisions.supersede(1 + n % 2, 2 + n % 3),
    "send": lambda o, n, t: o.mail.send(_agent(n), t, f"body of {t}", agent=_agent(n // 3)),
    "queue": lambda o, n, t: o.mail.send("queue:jobs", t, t, agent=_agent(n)),
    "take": lambda o, n, _: o.mail.take("jobs", agent=_agent(n)),
    "read": lambda o, n, _: o.mail.read(_message(o, n)[0], agent=_message(o, n)[1]),
    "ack": lambda o, n, _: o.mail.ack(_message(o, n)[0], agent=_message(o, n)[1]),
    "reply": lambda o, n, t: o.mail.reply(_message(o, n)[0], t, agent=_message(o, n)[1]),
    "put away": lambda o, n, _: o.mail.archive([_message(o, n)[0]], agent=_message(o, n)[1]),
    "give back": lambda o, n, _: o.mail.release(_message(o, n)[0], agent=_message(o, n)[1]),
    "list": lambda o, n, _: o.mail.set_list(_name(n), [_agent(n), _agent(n // 3)]),
    "mute": lambda o, n, _: o.mail.do_not_disturb(bool(n % 2), agent=_agent(n)),
    "convoy": lambda o, n, t: o.convoys.create(_name(n), [_task(o, n)], description=t),
    "join convoy": lambda o, n, _: o.convoys.add(_name(n), [_task(o, n // 2)]),
    "leave convoy": lambda o, n, _: o.convoys.remove(_name(n), o.convoys.get(_name(n)).tasks[:1]),
    "cancel convoy": lambda o, n, t: o.convoys.cancel(_name(n), reason=t),
    "goal": lambda o, n, t: o.goals.create(_name(n), due="2027-01-01", description=t),
    "join goal": lambda o, n, _: o.goals.add(_name(n), [_task(o, n)]),
    "leave goal": lambda o, n, _: o.goals.remove(_name(n), [_task(o, n)]),
    "move goal": lambda o, n, t: o.goals.edit(_name(n), due=f"2027-01-{1 + n % 9:02}", reason=t),
    "drop goal": lambda o, n, t: o.goals.drop(_name(n), reason=t),
    "register": lambda o, n, _: o.agents.register(_agent(n), type=_name(n), max_load=n % 4 + 1),
    "retire": lambda o, n, t: o.agents.retire(_agent(n), reason=t),
    "rename": lambda o, n, _: o.agents.rename("bob", f"bert{n % 2}"),
    "session": lambda o, n, _: o.sessions.start(agent=_agent(n)),
    "handoff": lambda o, n, t: o.sessions.handoff(subject=t, note=t, agent=_agent(n)),
    "pour": lambda o, n, _: o.workflows.pour(WISP, workstream="build", agent=_agent(n)),
    "wisp": _work_on_wisp,
    "ask": _answer,
    "log": lambda o, n, t: o.events.log(_agent(n), _name(n), text=t),
    "claim event": lambda o, n, _: o.subscriptions.claim(1 + n % 9, agent=_agent(n)),
}


def work(orc: Orchestrator, name: str, number: int, text: str) -> bool:
    """Run a command; whether the board allowed it."""
    with suppress(OrchestratorError, KeyError):
        COMMANDS[name](orc, number, text)
        return True
    return False


def texts_of(orc: Orchestrator) -> Iterator[tuple[str, str]]:
    """Every text of an agent in the log, with its kind."""
    for chunk in orc.engine.store.read(START):
        for record in chunk.events:
            if record.origin is not None and record.origin.follows:
                continue  # words of a merge
            fields: dict[str, Any] = msgspec.json.decode(record.payload)
            kind = record.type
            if kind in ("task.added", "decision.added"):
                yield "title", fields["title"]
            elif kind in ("message.sent", "task.noted"):
                yield kind, fields.get("body", fields.get("text", ""))
            elif kind.startswith("knowledge.") and "text" in fields:
                yield "knowledge", fields["text"].rstrip("\n")
            elif kind in NAMES:
                yield "own", fields["text"]


def reported_texts(report: MergeReport) -> str:
    """All values that a merge reported."""
    return "\n".join(conflict.there for conflict in report.conflicts)
