"""``orc lock``: resources that agents keep for a while."""

from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from orchestrator.core.errors import Refused, suggestion
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import LOCK
from orchestrator.interfaces.cli.layout import parts, shown_time, table
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, present, say
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.locks.commands import Lease
    from orchestrator.domain.locks.records import Lock

_RESOURCE = argument("resource", "A name or a path glob: git, src/**.", types.RESOURCE_NAME)
_AGENT = argument("[agent]", "Who holds it; else who acts.", types.AGENT_NAME)


class _Denied(TypedDict):
    """Another agent holds it."""

    resource: str
    acquired: bool
    holder: str
    until: str
    task: str | None


class _Released(TypedDict):
    """It is free."""

    resource: str
    released: bool


class _NotHeld(_Released):
    """The agent does not hold it."""

    agent: str


class _Broken(TypedDict):
    """It was taken from its holders."""

    resource: str
    broken: bool


@LOCK.command("acquire", example="acquire git agent-1 --ttl 5m --wait 30s", idempotent=True)
@_RESOURCE
@_AGENT
@option("--ttl", "How long it is held: 60s, 5m.", types.DURATION, default="60s")
@option("--wait", "Wait so long until it is free: 30s.", types.DURATION, default=0)
@flag("--shared", "Let others share it.")
def acquire(run: Run, resource: str, agent: str | None, **how: Any) -> "Answer[_Denied | Lease]":
    """Hold a resource; again by the holder renews."""
    try:
        lease = run.orc.locks.acquire(resource, agent=run.actor(agent), **how)
    except Refused as refusal:
        if refusal.code != "lock_denied":
            raise
        facts = {"resource": resource, "acquired": False, **refusal.details}
        denied = msgspec.convert(facts, _Denied)
        first = f"Lock denied: {escape(resource)} (held by another agent)"
        return say(denied, f"{first}\n{escape(refusal.hint)}", 1)
    return say(lease, f"Lock acquired: {escape(resource)}")


@LOCK.command("renew", example="renew git agent-1 --ttl 5m")
@_RESOURCE
@_AGENT
@option("--ttl", "How long from now; else as before.", types.DURATION)
def renew(
    run: Run, resource: str, agent: str | None, ttl: str | None
) -> "Answer[_NotHeld | Lease]":
    """Extend the lease of a lock, from now."""
    holder = run.actor(agent)
    try:
        lease = run.orc.locks.renew(resource, agent=holder, ttl=ttl)
    except Refused as refusal:
        return _not_held(run, refusal, resource, holder)
    return say(lease, f"Lock renewed: {escape(resource)} (until {shown_time(lease.until)})")


@LOCK.command("release", example="release git agent-1")
@_RESOURCE
@_AGENT
def release(run: Run, resource: str, agent: str | None) -> "Answer[_NotHeld | _Released]":
    """Give a resource back."""
    holder = run.actor(agent)
    try:
        run.orc.locks.release(resource, agent=holder)
    except Refused as refusal:
        return _not_held(run, refusal, resource, holder)
    return say(_Released(resource=resource, released=True), f"Lock released: {escape(resource)}")


@LOCK.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[Lock]]":
    """List held resources, by locks and by running tasks, and who waits for them."""
    return present(run.orc.locks.all(), lambda locks: _table(run, locks) or "No locks.")


@LOCK.command("break", example='break git --reason "agent-1 is gone"', destructive=True)
@_RESOURCE
@option("--reason", "Why; kept in the log.")
def break_(run: Run, resource: str, reason: str | None) -> "Answer[_Broken]":
    """Take a resource from all its holders."""
    run.orc.locks.break_(resource, reason=reason or "")
    return say(_Broken(resource=resource, broken=True), f"Lock broken: {escape(resource)}")


def _not_held(run: Run, refusal: Refused, resource: str, holder: str | None) -> "Answer[_NotHeld]":
    if refusal.code != "lock_not_held":
        raise refusal
    facts = {"resource": resource, "released": False, **refusal.details}
    not_held = msgspec.convert(facts, _NotHeld)
    near = suggestion(resource, (lock.resource for lock in run.orc.locks.all()))
    return say(not_held, parts(f"Lock not held by {escape(holder or run.agent or '')}", near), 1)


def _table(run: Run, locks: "list[Lock]") -> str:
    tasks = run.orc.engine.read().tasks
    rows = []
    for lock in locks:
        for holder in lock.holders:
            how = "shared" if holder.shared else "held"
            task = f"{holder.task} {tasks[holder.task].title}" if holder.task else ""
            rows.append((lock.resource, holder.agent, how, shown_time(holder.until), task))
        rows += [(lock.resource, w.agent, "waits", shown_time(w.until), "") for w in lock.waiting]
    return table(("resource", "agent", "how", "until", "task"), rows) if rows else ""
