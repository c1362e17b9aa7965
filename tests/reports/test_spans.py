"""The spans of work: who had which task in progress from when to when."""

from boards import SettableClock

from orchestrator import Orchestrator


def rows(orc: Orchestrator, **options: str) -> list[tuple[str, str, float, float | None, str]]:
    """The spans, with their times in seconds after the first moment of the clock."""
    from orchestrator.core.clock import seconds

    first = seconds(next(iter(orc.events.read())).ts)
    return [
        (
            span.agent,
            span.title,
            seconds(span.since) - first,
            None if span.until is None else seconds(span.until) - first,
            span.status,
        )
        for span in orc.spans(**options)
    ]


def test_a_span_goes_from_a_claim_to_what_ended_it(orc: Orchestrator, clock: SettableClock) -> None:
    orc.workstreams.create("build", agent="boss")
    parser = orc.tasks.add("build", title="Parser").id
    guide = orc.tasks.add("build", title="Guide").id
    clock.advance(10)
    orc.tasks.claim(parser, agent="ann")
    clock.advance(10)
    orc.tasks.release(parser, agent="ann")
    clock.advance(10)
    orc.tasks.claim(parser, agent="ben")
    orc.tasks.claim(guide, agent="ann", lease=60)
    clock.advance(10)
    orc.tasks.complete(parser, result="Done", agent="ben")
    expected = [
        ("ann", "Parser", 10, 20, "pending"),
        ("ben", "Parser", 30, 40, "done"),
        ("ann", "Guide", 30, None, "in_progress"),
    ]
    assert sorted(rows(orc)) == sorted(expected)
    assert rows(orc, agent="ben") == expected[1:2]
    clock.advance(100)
    assert ("ann", "Guide", 30, 90, "lapsed") in rows(orc)
    orc.agents.rename("ann", "eve")
    assert {row[0] for row in rows(orc)} == {"eve", "ben"}


def test_a_span_that_began_before_the_period_has_its_true_beginning(
    orc: Orchestrator, clock: SettableClock
) -> None:
    orc.workstreams.create("build", agent="boss")
    ended = orc.tasks.add("build", title="Ended").id
    over = orc.tasks.add("build", title="Over").id
    running = orc.tasks.add("build", title="Running").id
    clock.advance(10)
    for task in (ended, over, running):
        orc.tasks.claim(task, agent="ann", lease="9h")
    orc.tasks.complete(over, agent="ann")
    clock.advance(7200)
    orc.tasks.complete(ended, agent="ann")
    orc.tasks.reopen(over, agent="ann")
    assert sorted(rows(orc, since="1h"), key=lambda row: row[1]) == [
        ("ann", "Ended", 10, 7210, "done"),
        ("ann", "Running", 10, None, "in_progress"),
    ]
