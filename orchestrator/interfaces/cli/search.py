"""``orc search``: words in every text of the board."""

import time
from collections.abc import Iterable
from typing import Any

from orchestrator.core import clock
from orchestrator.core.printable import escape
from orchestrator.index.database import LARGE
from orchestrator.index.search import KINDS, TextMatch
from orchestrator.index.search import search as words_search
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.layout import lines, paint, shown_time
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, note
from orchestrator.interfaces.cli.run import Run


@BOARD.command(
    "search", example="search parser --in note,result", reads=True, filters_agent=True, long=True
)
@argument("words...", 'The words; OR, NOT, "a phrase" and begin* work.')
@option("--in", "Only in these kinds of texts.", types.choice(*KINDS), name="kinds", many=True)
@option("--since", "Only texts from then on: 2h, monday, 2026-11-21.")
@option("--ws", "Only about tasks of this workstream.", types.WORKSTREAM_NAME, name="workstream")
@option("--status", "Only about tasks of these statuses.", types.WORD, many=True)
@option("--where", "Only about tasks that pass this expression (`help where`).", default="")
@option("--limit", "At most so many.", types.POSITIVE, default=20)
@flag("--verbose/-v", "Write on stderr what was searched, and for how long.", rare=True)
@flag("--stale", "Search the index without updating it first.", rare=True)
def search(
    run: Run, words: tuple[str, ...], where: str, verbose: bool, **filters: Any
) -> "Answer[list[TextMatch]]":
    """Search tasks, results, notes, evidence, mail, knowledge, decisions, goals and events.

    The most relevant come first: rare words, then titles before texts, new before old. A large board is
    searched in state/index.db, which the first search builds; a small one needs no file.
    """
    filters |= {name: filters[name] or () for name in ("kinds", "status")}
    now = clock.timestamp(run.store.now())
    if where:  # only it needs the state
        from orchestrator.domain.tasks.where import parse

        filters["where"] = parse(where, run.orc.engine.read(), now)
    index, begin = run.index, time.monotonic()
    matches = words_search(index, " ".join(words), now=now, **filters)
    if verbose:
        events = f"{index.head} events"
        place = f"state/index.db ({events})" if index.exists else _IN_MEMORY.format(events, LARGE)
        note(f"Searched {place}, in {time.monotonic() - begin:.2f} s")
    return Answer(matches, lambda: lines(map(_shown, matches), empty="Nothing was found."))


_IN_MEMORY = "an index in memory ({}; from {} on it is kept in a file)"


def _shown(match: TextMatch) -> str:
    which = f" {match.number}" if match.number else ""
    author = f" by {escape(match.agent)}" if match.agent else ""
    when = f", {shown_time(match.ts)}" if match.ts else ""
    first = f"{match.kind}{which} {escape(match.key)}: {_marked(match.title, match.title_marks)}"
    head = first + author + when
    text = _marked(match.snippet, match.marks)
    return f"{head}\n    {text}" if text else head


def _marked(text: str, marks: Iterable[tuple[int, int]]) -> str:
    """A text, with the words highlighted."""
    shown, end = "", 0
    for first, behind in marks:
        shown += escape(text[end:first]) + paint(escape(text[first:behind]), "bold")
        end = behind
    return shown + escape(text[end:])
