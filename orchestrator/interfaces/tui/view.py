"""What a dashboard shows: panels of rows in sections, which changes of the board update row by row.

Nothing here knows a board or a terminal. A row has an order in its section, so a change costs the same
whatever the number of rows, and a widget asks only for the rows that are on the screen.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from orchestrator.core.printable import amount

Order = tuple[Any, ...]
"""The place of a row among those of its section; the last item is unique there."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a panel.

    Attributes:
        key: What it shows: the id of a task, the number of a message ...; unique in its panel.
        section: The title of its section.
        order: Its place in the section; the order of another row differs.
        text: One safe line.
        end: The end of the line, which stays if the text is cut.
        colour: The name of a colour, or empty.
        is_system: Whether it is a record of the machinery, which a person may hide.
        detail: Safe lines with more about it, shown while it is selected.
    """

    key: str
    section: str
    order: Order
    text: str
    end: str = ""
    colour: str = ""
    is_system: bool = False
    detail: str = ""

    @property
    def line(self) -> str:
        """The whole line."""
        return self.text + self.end


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """The line above the rows of a section."""

    text: str


ViewLine = Row | Heading


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """The change of a panel: rows to add or replace, and keys of rows to remove.

    Attributes:
        is_whole: ``rows`` are all rows of the panel now.
    """

    panel: str
    rows: tuple[Row, ...] = ()
    gone: tuple[str, ...] = ()
    is_whole: bool = False


class RowSection:
    """The rows of a section in their order."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._places: list[tuple[Order, str]] = []

    def __len__(self) -> int:
        return len(self._places)

    def add(self, row: Row) -> None:
        """Add a row."""
        insort(self._places, (row.order, row.key))

    def remove(self, row: Row) -> None:
        """Remove a row that is here."""
        del self._places[self.place(row)]

    def place(self, row: Row) -> int:
        """The number of a row that is here, counted from 0."""
        return bisect_left(self._places, (row.order, row.key))

    def key(self, place: int) -> str:
        """The key of a row by its number."""
        return self._places[place][1]


class Panel:
    """A panel: sections in a fixed order, the text that its rows must contain, and what is hidden.

    Args:
        name: Its name, which is its title too.
        sections: The titles of its sections; other sections come after them.
        empty: The sentence of an empty panel.
        is_titled: Whether the sections have headings.
    """

    def __init__(
        self, name: str, sections: Iterable[str], empty: str, *, is_titled: bool = True
    ) -> None:
        self.name = name
        self._empty = empty
        self._is_titled = is_titled
        self._rows: dict[str, Row] = {}
        self._counts: Counter[str] = Counter()
        self._sections = {title: RowSection(title) for title in sections}
        self._words: tuple[str, ...] = ()
        self._hides_system = False

    # Changes

    def apply(self, patch: Patch) -> None:
        """Change rows."""
        if patch.is_whole:
            kept = {row.key for row in patch.rows}
            for key in [key for key in self._rows if key not in kept]:
                self._drop(key)
        for key in patch.gone:
            self._drop(key)
        for row in patch.rows:
            if self._rows.get(row.key) != row:
                self._drop(row.key)
                self._put(row)

    def _put(self, row: Row) -> None:
        self._rows[row.key] = row
        self._counts[row.section] += 1
        self._sort_in(row)

    def _sort_in(self, row: Row) -> None:
        section = self._sections.setdefault(row.section, RowSection(row.section))
        if self._shows(row):
            section.add(row)

    def _drop(self, key: str) -> None:
        row = self._rows.pop(key, None)
        if row is None:
            return
        self._counts[row.section] -= 1
        if self._shows(row):
            self._sections[row.section].remove(row)

    def search(self, text: str) -> None:
        """Show only rows with all of these words, in any case; an empty text shows all."""
        self._words = tuple(text.casefold().split())
        self._sort_again()

    def hide_system(self, hides: bool) -> None:
        """Hide the records of the machinery, or show them."""
        self._hides_system = hides
        self._sort_again()

    def _sort_again(self) -> None:
        self._sections = {title: RowSection(title) for title in self._sections}
        for row in self._rows.values():
            self._sort_in(row)

    def _shows(self, row: Row) -> bool:
        if row.is_system and self._hides_system:
            return False
        if not self._words:
            return True
        text = f"{row.key} {row.line}".casefold()
        return all(word in text for word in self._words)

    # Lines

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each section that has any, hidden ones included."""
        return {title: self._counts[title] for title in self._sections if self._counts[title]}

    @property
    def found(self) -> int:
        """The number of rows that are shown."""
        return sum(map(len, self._sections.values()))

    @property
    def total(self) -> int:
        """The number of rows, hidden ones included."""
        return len(self._rows)

    def __len__(self) -> int:
        return max(1, sum(self._height(section) for section in self._sections.values()))

    def _height(self, section: RowSection) -> int:
        return len(section) + self._is_titled if section else 0

    def line(self, number: int) -> ViewLine:
        """A line by its number, counted from 0."""
        for title, section in self._sections.items():
            height = self._height(section)
            if number < height:
                place = number - self._is_titled
                if place < 0:
                    return Heading(text=f"{title} ({len(section)})")
                return self._rows[section.key(place)]
            number -= height
        if self._words:
            return Heading(text=f'Nothing has "{" ".join(self._words)}". Esc ends the search.')
        if self._rows:
            return Heading(text="All of them are system events, which are hidden: `s` shows them.")
        return Heading(text=self._empty)

    def lines(self) -> Iterator[ViewLine]:
        """All lines."""
        return map(self.line, range(len(self)))

    def row(self, key: str | None) -> Row | None:
        """The row of a key if it is shown."""
        row = self._rows.get(key) if key is not None else None
        return row if row is not None and self._shows(row) else None

    def number(self, key: str | None) -> int | None:
        """The number of the line of a row; None if it is not shown."""
        row = self.row(key)
        if row is None:
            return None
        before = 0
        for title, section in self._sections.items():
            if title == row.section:
                return before + self._is_titled + section.place(row)
            before += self._height(section)
        return None

    def near(self, number: int, step: int = 1) -> str | None:
        """The key of the row at a line or, if that is a heading, of the next one in a direction."""
        last = len(self) - 1
        number = min(max(number, 0), last)
        for place in (number, number + step, number - step):
            if 0 <= place <= last and isinstance(line := self.line(place), Row):
                return line.key
        return None


BOARD, PERMISSIONS, AGENTS, MAIL, LOCKS, FILES, CLAIMS, EVENTS, CYCLE = (
    *("Board", "Permissions", "Agents", "Mail", "Locks", "Files", "Claims", "Events", "Cycle"),
)

COLUMNS = ("Ready", "In progress", "In review", "Waiting", "Ended")
"""The columns of the board."""


class DashboardView:
    """All panels, as the last patch left them."""

    def __init__(self) -> None:
        self.panels = {
            panel.name: panel
            for panel in (
                Panel(BOARD, COLUMNS, "No tasks. `orc t add` adds one."),
                Panel(PERMISSIONS, (), "No requests wait.", is_titled=False),
                Panel(AGENTS, (), "No agents.", is_titled=False),
                Panel(MAIL, ("Unread", "Overseer", "Read", "Others"), "No mail."),
                Panel(LOCKS, (), "No locks.", is_titled=False),
                Panel(
                    FILES,
                    (),
                    "No file has changed. `orc runner run --watch FOLDER` watches one.",
                    is_titled=False,
                ),
                Panel(CLAIMS, ("Tasks", "Reviews", "Events"), "No claims."),
                Panel(EVENTS, (), "No events.", is_titled=False),
                Panel(CYCLE, COLUMNS, "No cycle. `orc plan` begins one."),
            )
        }
        self.event = 0
        self.cycle = ""

    def apply(self, update: "ViewUpdate") -> set[str]:
        """Apply the changes of some commits; return the names of the panels that changed."""
        self.event, self.cycle = update.event, update.cycle
        for patch in update.patches:
            self.panels[patch.panel].apply(patch)
        return {patch.panel for patch in update.patches}

    @property
    def summary(self) -> str:
        """The numbers in one line; first those that ask a person for an action."""
        waiting, unread = self.panels[PERMISSIONS].total, self.panels[MAIL].counts.get("Unread", 0)
        parts = [f"{amount(waiting, 'request')} for permission"] if waiting else []
        parts += [f"{unread} unread"] if unread else []
        parts += [f"{n} {title.lower()}" for title, n in self.panels[BOARD].counts.items()]
        return ", ".join(parts) or "No tasks"


class ViewUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What some commits changed.

    Attributes:
        event: The last event.
        cycle: The progress of the cycle in one line; empty without one.
        news: The keys of the new events, oldest first.
    """

    event: int
    cycle: str
    patches: tuple[Patch, ...] = ()
    news: tuple[str, ...] = ()
