"""A list of lines of which only those on the screen are drawn, with a selected row."""

from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from orchestrator.interfaces.cli.layout import columns, cut, padded, wrapped
from orchestrator.interfaces.tui.view import Heading, Panel, Patch, Row, ViewLine

_MARK, _NO_MARK = "> ", "  "
"""The beginning of the selected row, which is seen without colours too, and of the others."""


def strip_of(text: str, width: int, style: Style, end: str = "") -> Strip:
    """A safe text with its end as a line of the screen, padded to its width; what does not fit is cut."""
    room = width - columns(end)
    text = cut(text, room) + end if room > len(_MARK) else text + end
    shown = padded(cut(text, width), width) if width > 0 else ""
    return Strip([Segment(shown, style)], max(width, 0))


class LineList(ScrollView, can_focus=True):
    """The lines of a panel.

    Args:
        panel: What it shows.
        choose: Called after each change of the selection, by a person or by the board, and of the size.
    """

    def __init__(
        self, panel: Panel, choose: Callable[[], None] = lambda: None, *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.panel = panel
        self.selected: str | None = None
        self._choose = choose
        self._place = 0

    def show(self, panel: Panel) -> None:
        """Show another panel, with its first row selected."""
        self.panel = panel
        self.selected = panel.near(0)
        self._place = 0
        self.update_lines()
        self.scroll_to(y=0, animate=False, force=True)

    def update_lines(self, *, selects: bool = True) -> None:
        """Show the panel as it is now.

        Args:
            selects: If the selected row has gone, select the one that is in its place. Else none is selected,
                so that an answer never meets a row that the person has not looked at.
        """
        if self.panel.row(self.selected) is None:
            self.selected = self.panel.near(self._place) if selects else None
        number = self.panel.number(self.selected)
        if number is not None:
            self._keep_in_view(number)
            self._place = number
        self._measure()
        self.refresh()
        self._choose()

    def _keep_in_view(self, number: int) -> None:
        """Scroll with the selected row when rows come before it, as it was in view."""
        top = self.scroll_offset.y
        if top and top <= self._place < top + self.size.height and number != self._place:
            self._measure()
            self.scroll_to(y=top + number - self._place, animate=False, force=True)

    def _measure(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.panel))

    def on_resize(self) -> None:
        """Draw the lines in the new width."""
        self._measure()
        self._reveal()
        self._choose()

    def move(self, step: int) -> None:
        """Select a row that is a number of lines further."""
        number = self.panel.number(self.selected)
        start = self._place if number is None else number
        if number is None:
            step = 0
        key = self.panel.near(start + step, 1 if step >= 0 else -1)
        if key is not None:
            self.selected = key
            self._place = self.panel.number(key) or 0
        self._reveal()
        for changed in {start, self._place}:  # no more is sent over a slow line
            self.refresh_line(changed)
        self._choose()

    def _reveal(self) -> None:
        """Scroll until the selected row is on the screen, with the heading above it."""
        top = self._place - 1 if self._place and self._place <= 1 else self._place
        region = Region(0, top, 1, 1 + self._place - top)
        self.scroll_to_region(region, animate=False, force=True)

    def select_line(self, number: int) -> None:
        """Select the row at a line."""
        if 0 <= number < len(self.panel) and isinstance(line := self.panel.line(number), Row):
            self.selected = line.key
            self.move(0)

    def render_line(self, y: int) -> Strip:
        """Draw a line of the screen."""
        number = y + self.scroll_offset.y
        width = self.size.width
        if number >= len(self.panel):
            return Strip.blank(width)
        return self._drawn(self.panel.line(number), width)

    def _drawn(self, line: ViewLine, width: int) -> Strip:
        if isinstance(line, Heading):
            return strip_of(line.text, width, Style(bold=True))
        is_selected = line.key == self.selected
        style = Style(color=line.colour or None, reverse=is_selected and self.has_focus)
        return strip_of((_MARK if is_selected else _NO_MARK) + line.text, width, style, line.end)


class TextLines(LineList):
    """Lines of which none is selected: moving scrolls."""

    def move(self, step: int) -> None:
        """Scroll by a number of lines."""
        self.scroll_to(y=self.scroll_offset.y + step, animate=False, force=True)

    def _drawn(self, line: ViewLine, width: int) -> Strip:
        colour = line.colour if isinstance(line, Row) else ""
        return strip_of(line.text, width, Style(color=colour or None))


def wrapped_lines(text: str, width: int) -> list[str]:
    """A safe text of several lines, wrapped to a width; indented lines stay indented."""
    lines: list[str] = []
    for line in text.expandtabs(4).split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        room = max(width - len(indent), 10)
        lines += [indent + part for part in wrapped(line.strip(), room)] or [""]
    return lines


def text_panel(text: str, width: int) -> Panel:
    """A panel with the lines of a safe text, wrapped to a width."""
    panel = Panel("text", (), "", is_titled=False)
    lines = enumerate(wrapped_lines(text, width))
    rows = (Row(key=str(n), section="", order=(n,), text=line) for n, line in lines)
    panel.apply(Patch(panel=panel.name, rows=tuple(rows)))
    return panel
