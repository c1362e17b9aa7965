"""Pages of a dashboard: everything about a row, and the help."""

import re
from itertools import islice

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core import clock
from orchestrator.core.printable import escape, escape_lines
from orchestrator.core.strict_json import visible_json
from orchestrator.interfaces.cli.agents import agent_page
from orchestrator.interfaces.cli.task_pages import task_page
from orchestrator.interfaces.tui import panels
from orchestrator.interfaces.tui.actions import ACTIONS
from orchestrator.interfaces.tui.feed import KEPT, Feed
from orchestrator.interfaces.tui.view import AGENTS, EVENTS, FILES, LOCKS, MAIL, PERMISSIONS
from orchestrator.reports.sentences import Sentences

_RECENT = 20
"""How many events the page of an agent shows, if they are among the last :data:`KEPT` of the board."""

_COLOUR = re.compile(r"\x1b\[\d+m")
"""A colour that the command line gives; agents' own were escaped before."""


def page_of(feed: Feed, panel: str, key: str) -> str:
    """Everything about a row, as safe lines. A message in the person's mailbox counts as read then.

    Raises:
        OrchestratorError: It cannot be read.
    """

    def page(orc: Orchestrator) -> str:
        if panel == MAIL:
            return _letter(orc, feed.person, int(key))
        if panel == PERMISSIONS:
            return _request(orc, key)
        if panel == AGENTS:
            return _agent(orc, key)
        if panel == LOCKS:
            return panels.lock_page(orc.engine.read(), key, orc.engine.now())
        if panel in (EVENTS, FILES) or key.startswith("event "):
            return _event(orc, int(key.removeprefix("event ")))
        return _COLOUR.sub("", task_page(orc, key))

    return feed.ask(page)


def _letter(orc: Orchestrator, person: str, message: int) -> str:
    is_own = message in orc.engine.read().mail.mailbox(person)
    letter = orc.mail.read(message, agent=person) if is_own else orc.mail.peek(message)
    heads = {
        "From": letter.sender,
        "To": ", ".join((*letter.to, *letter.cc)),
        "Sent": letter.sent_at,
        "Subject": letter.subject,
    }
    lines = [escape(f"{name}: {text}") for name, text in heads.items()]
    return "\n".join([*lines, "", escape_lines(letter.body)])


def _request(orc: Orchestrator, id: str) -> str:
    request = orc.permissions.get(id)
    data = msgspec.json.format(msgspec.json.encode(request.tool_input), indent=2)
    head = escape(f"{request.id}: {request.agent} asks to use {request.tool} ({request.status})")
    return f"{head}\n\n{visible_json(data).decode()}"


def _agent(orc: Orchestrator, name: str) -> str:
    now = orc.engine.now()
    sentences = Sentences(orc.engine, lambda moment: clock.local_time(moment, now))
    events = (event for event in islice(orc.engine.read_backwards(), KEPT) if event.agent == name)
    lines = [
        f"  {clock.local_time(event.ts, now)} {escape(sentences.of(event))}"
        for event in islice(events, _RECENT)
    ]
    return "\n".join([_COLOUR.sub("", agent_page(orc.agents.get(name))), "Last events:", *lines])


def _event(orc: Orchestrator, number: int) -> str:
    record = orc.engine.event(number)
    data = msgspec.json.format(bytes(record.payload), indent=2)
    head = escape(f"Event {record.id}: {record.type} by {record.agent}, {record.ts}")
    return f"{head}\n\n{visible_json(data).decode()}"


HELP = "\n".join(
    [
        "Keys",
        "",
        "  j k, arrows     the next and the previous row; PgUp PgDn Home End",
        "  Tab, 1 to 9     the next panel, or one by its number",
        "  Enter           everything about the row",
        "  /               show only rows with these words; Esc shows all",
        "  s               hide or show events of the machinery",
        *(f"  {key}               {action.about}" for key, action in ACTIONS.items()),
        "  ?               this page",
        "  q               quit",
        "",
        "Each action is a command in the log under your name. The first line begins with your name; --agent"
        " NAME or ORC_AGENT sets it. If the rules of the board refuse an action, the line above the keys says"
        " why.",
        "",
        "With --lines the same is shown as plain lines that are never redrawn.",
    ]
)
"""The keys."""
