"""The dashboard in a terminal, with Textual."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Click, Resize
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.printable import escape
from orchestrator.interfaces.tui.actions import ACTIONS, TASKS, Action, act
from orchestrator.interfaces.tui.feed import Feed
from orchestrator.interfaces.tui.line_list import LineList, TextLines, text_panel, wrapped_lines
from orchestrator.interfaces.tui.pages import HELP, page_of
from orchestrator.interfaces.tui.view import (
    BOARD,
    CYCLE,
    EVENTS,
    MAIL,
    PERMISSIONS,
    DashboardView,
    ViewUpdate,
)

_WIDE = 120
"""Columns from which the events are shown beside every panel."""

_REST = 0.05
"""Seconds between two redraws at least."""

_ASKING = "Enter goes on  Esc gives up"
"""The keys while a text is asked for."""

_KEYS = "j k move  Enter open  Tab panel  / search  m mail  s system events  ? help  q"

_KEYS_OF = {
    **dict.fromkeys(
        TASKS, "Enter open  / search  c claim  r release  a approve  x reject  m mail  ? help  q"
    ),
    PERMISSIONS: "j k choose  y allow  n deny  Enter open  Tab panel  ? help  q quit",
    MAIL: "j k move  Enter read  m write  / search  Tab panel  ? help  q quit",
    EVENTS: "j k move  Enter open  / search  s system events  Tab panel  ? help  q quit",
}
"""The keys that the last line names, by panel."""

_SHORT = {PERMISSIONS: "Permit"}
"""Titles of panels in the line of panels, if they differ from their names."""

_NARROW = 76
"""Columns below which only the present panel has its title in the line of panels."""


MOVES = (
    Binding("j,down", "move(1)", show=False),
    Binding("k,up", "move(-1)", show=False),
    Binding("home,g", "move(-1000000)", show=False),
    Binding("end,G", "move(1000000)", show=False),
)
"""The keys that move by lines, on each screen."""


class Page(ModalScreen[None]):
    """A text of any length over the whole screen.

    Args:
        text: Safe lines.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss", show=False),
        *MOVES,
        Binding("pagedown,space,ctrl+d", "move(15)", show=False),
        Binding("pageup,ctrl+u", "move(-15)", show=False),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text, and the keys below it."""
        yield TextLines(text_panel(self._text, 80))
        yield Static("j k scroll  Esc back", markup=False)

    def on_resize(self, event: Resize) -> None:
        """Wrap the text to the new width."""
        lines = self.query_one(TextLines)
        lines.show(text_panel(self._text, event.size.width - 1))
        lines.focus()

    def action_move(self, step: int) -> None:
        """Scroll."""
        self.query_one(TextLines).move(step)


class Dashboard(App[None]):
    """A board, live.

    Args:
        feed: What is shown, and what actions are done on.
    """

    TITLE = "orc dashboard"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; background: ansi_default; color: ansi_default; }
    Static { height: 1; width: 100%; text-wrap: nowrap; text-overflow: ellipsis; }
    Horizontal { height: 1fr; }
    Vertical { height: 1fr; }
    LineList { height: 1fr; scrollbar-size-vertical: 1; background: ansi_default; }
    #side { display: none; width: 42%; border-left: solid ansi_bright_black; }
    #detail { display: none; height: auto; border-top: solid ansi_bright_black; }
    #answer { height: auto; max-height: 3; text-wrap: wrap; }
    #prompt { display: none; border: none; height: 1; padding: 0; background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *MOVES,
        Binding("pagedown,space,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("tab", "panel(1)", show=False, priority=True),
        Binding("shift+tab", "panel(-1)", show=False, priority=True),
        *(Binding(str(n), f"panel_number({n})", show=False) for n in range(1, 10)),
        Binding("enter", "open", show=False),
        Binding("slash", "search", show=False),
        Binding("escape", "leave", show=False),
        Binding("s", "system", show=False),
        Binding("question_mark", "help", show=False),
        Binding("q", "quit", show=False),
        *(Binding(key, f"do('{key}')", show=False) for key in ACTIONS),
    ]

    def __init__(self, feed: Feed) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self._feed = feed
        self._view = DashboardView()
        self._panel = BOARD
        self._is_wide = False
        self._hides_system = False
        self._searched = ""
        self._asked: list[str] = []
        self._answers: list[str] = []
        self._finish: Callable[..., None] = lambda *_: None
        self._shows_problem = False
        self._thread = threading.Thread(target=self._follow, name="dashboard", daemon=True)

    def compose(self) -> ComposeResult:
        """One line each for the numbers and the panels, the rows, and one line each for answers and keys."""
        yield Static(id="head", markup=False)
        yield Static(id="tabs", markup=False)
        with Horizontal():
            with Vertical():
                yield LineList(self._view.panels[self._panel], self._show_detail, id="rows")
                yield Static(id="detail", markup=False)
            yield TextLines(self._view.panels[EVENTS], id="side")
        yield Static(id="answer", markup=False)
        yield Input(id="prompt", select_on_focus=False)
        yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        """Show the board, then follow it."""
        self.query_one("#prompt", Input).cursor_blink = False
        self.query_one("#side", TextLines).can_focus = False
        self._apply(self._feed.first())
        self.rows.show(self._view.panels[self._panel])
        self.rows.focus()
        self._thread.start()
        # On Windows and in a thread, this is not possible.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)

    def on_unmount(self) -> None:
        """End the thread that follows the board."""
        self._feed.close()

    @property
    def rows(self) -> LineList:
        """The list of the present panel."""
        return self.query_one("#rows", LineList)

    # Updates

    def _follow(self) -> None:
        """Pass on what changes; runs in a thread of its own."""
        self._feed.follow(
            lambda update: self.call_later(self._apply, update),
            lambda text: self.call_later(self._show_problem, text),
            _REST,
        )

    def _apply(self, update: ViewUpdate) -> None:
        changed = self._view.apply(update)
        self._show_head()
        if self._panel in changed:
            self.rows.update_lines(selects=self._panel != PERMISSIONS)
        if EVENTS in changed:
            self.query_one("#side", TextLines).update_lines()

    def _show_head(self) -> None:
        self.query_one("#side").display = self._is_wide and self._panel != EVENTS
        found = self._view.panels[self._panel].found
        searched = f"/{escape(self._searched)}: {found} found" if self._searched else ""
        parts = [f"{escape(self._feed.person)}: {self._view.summary}", self._view.cycle]
        if self._panel == CYCLE:
            parts.reverse()
        parts = [searched, *parts, f"event {self._view.event}"]
        head = Text(". ".join(filter(None, parts)), no_wrap=True, overflow="ellipsis")
        if self._view.panels[PERMISSIONS].total:
            head.highlight_regex(r"\d+ requests? for permission", "bold yellow")
        self.query_one("#head", Static).update(head)
        tabs = Text(no_wrap=True, overflow="ellipsis")
        for number, name in enumerate(self._view.panels, start=1):
            is_present = name == self._panel
            title = _SHORT.get(name, name) if is_present or self.size.width >= _NARROW else ""
            label = f"{number} {title}".strip()
            tabs.append(f"[{label}]" if is_present else f" {label}", "reverse" * is_present)
        self.query_one("#tabs", Static).update(tabs)
        shown = _ASKING if self._asked else _KEYS_OF.get(self._panel, _KEYS)
        keys = Text(shown, no_wrap=True, overflow="ellipsis")
        self.query_one("#keys", Static).update(keys)

    def _show_detail(self) -> None:
        """Show more about the selected row, if there is more."""
        if not self.is_running:
            return
        row = self._view.panels[self._panel].row(self.rows.selected)
        width = self.rows.outer_size.width
        lines = wrapped_lines(row.detail, width) if row and row.detail else []
        room = max(2, self.size.height // 2 - 2)
        if len(lines) > room:  # what is left out is named: a person decides by this text
            lines = [f"({len(lines) - room + 1} more lines: Enter shows all)", *lines[: room - 1]]
        detail = self.query_one("#detail", Static)
        detail.display = bool(lines)
        detail.update(Text("\n".join(lines)))

    def on_resize(self, event: Resize) -> None:
        """Use the new size."""
        self._is_wide = event.size.width >= _WIDE
        if self.is_running:
            self._show_head()

    # Moving

    def action_move(self, step: int) -> None:
        """Select another row."""
        self.rows.move(step)

    def action_page(self, pages: int) -> None:
        """Select a row that is a page away."""
        self.rows.move(pages * max(1, self.rows.size.height - 1))

    def action_panel(self, step: int) -> None:
        """Show the next panel; while a text is asked for, do nothing."""
        if not self.query_one("#prompt").display:
            names = [*self._view.panels]
            self.show_panel(names[(names.index(self._panel) + step) % len(names)])

    def action_panel_number(self, number: int) -> None:
        """Show a panel by its number."""
        self.show_panel([*self._view.panels][number - 1])

    def show_panel(self, name: str) -> None:
        """Show a panel."""
        self._view.panels[self._panel].search("")
        self._panel, self._searched = name, ""
        self.rows.show(self._view.panels[name])
        self._show_head()

    def on_click(self, event: Click) -> None:
        """Select the row that was clicked."""
        if event.widget is self.rows:
            self.rows.select_line(event.y + self.rows.scroll_offset.y)

    def action_system(self) -> None:
        """Show or hide the records of the machinery."""
        self._hides_system = not self._hides_system
        self._view.panels[EVENTS].hide_system(self._hides_system)
        self.rows.update_lines()
        self.query_one("#side", TextLines).update_lines()
        self._show_answer(f"System events are {'hidden' if self._hides_system else 'shown'}")

    # Texts

    def _show_answer(self, text: str, *, is_problem: bool = False) -> None:
        self._shows_problem = is_problem
        self.query_one("#answer", Static).update(
            Text(escape(text), "bold red" if is_problem else "")
        )

    def _show_problem(self, text: str) -> None:
        """Show a problem that a thread reports; an empty text means that the problem has ended."""
        if text or self._shows_problem:
            self._show_answer(text, is_problem=True)

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Page(HELP))

    def action_open(self) -> None:
        """Show everything about the selected row."""
        panel, key = self._panel, self.rows.selected
        if key is not None:
            self._in_thread(lambda: page_of(self._feed, panel, key), self._open)

    def _open(self, text: str) -> None:
        self.push_screen(Page(text))

    # Actions

    def action_do(self, key: str) -> None:
        """Do the action of a key on the selected row, or say why not."""
        action, selected = ACTIONS[key], self.rows.selected or ""
        if action.panels and self._panel not in action.panels:
            self.show_panel(action.panels[0])
            self._show_answer(f"Choose with j and k, then {key}: {action.about}")
            return
        if action.panels and not selected:
            self._show_answer("Nothing is selected: j and k select.")
            return
        about = f" {selected}" if action.panels else ""
        self._ask(
            [f"{action.word}{about}: {name}" for name in action.asks],
            lambda *texts: self._act(action, selected, texts),
        )

    def _act(self, action: Action, selected: str, texts: Iterable[str]) -> None:
        self._in_thread(lambda: act(self._feed, action, selected, *texts), self._show_answer)

    def _in_thread(self, work: Callable[[], str], show: Callable[[str], None]) -> None:
        """Use the board in a thread; the screen goes on meanwhile."""

        def run() -> None:
            try:
                text = work()
            except OrchestratorError as error:
                hint = f" {error.hint}" if error.hint else ""
                self.call_later(self._show_problem, f"{error.message}.{hint}")
            except OSError as error:
                self.call_later(self._show_problem, str(error))
            else:
                self.call_later(show, text)

        self.run_worker(run, thread=True)

    # Asking for texts

    def action_search(self) -> None:
        """Ask for words that rows must have; the list follows while they are typed."""
        self._ask(["search [words]"], self._search)

    def _search(self, text: str) -> None:
        self._searched = text
        self._view.panels[self._panel].search(text)
        self.rows.update_lines()
        self._show_head()

    def action_leave(self) -> None:
        """End the search, or what was asked for."""
        if self.query_one("#prompt").display:
            self._end_asking()
            self._show_answer("Nothing was done.")
        else:
            self._show_answer("")
        self._search("")

    def _ask(self, names: list[str], finish: Callable[..., None]) -> None:
        """Ask for some texts, one after another."""
        self._asked, self._answers, self._finish = names, [], finish
        if not names:
            finish()
            return
        self._ask_next()

    def _ask_next(self) -> None:
        prompt = self.query_one("#prompt", Input)
        name = self._asked[len(self._answers)]
        is_optional = "[" in name
        plain = name.replace("[", "").replace("]", "")
        self._show_answer(f"{plain}{' (may be empty)' if is_optional else ''}")
        self._show_head()
        prompt.value = ""
        prompt.display = True
        prompt.focus()

    def _end_asking(self) -> None:
        self._asked = []
        self.query_one("#prompt", Input).display = False
        self.rows.focus()
        self._show_head()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while words are typed."""
        if self._asked and self._asked[0].startswith("search"):
            self._search(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask for the next text, or do what they were asked for."""
        name = self._asked[len(self._answers)]
        if not event.value.strip() and "[" not in name:
            return
        self._answers.append(event.value)
        if len(self._answers) < len(self._asked):
            self._ask_next()
            return
        self._end_asking()
        self._show_answer("")
        self._finish(*self._answers)
