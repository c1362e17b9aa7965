"""Lay out a page of markdown within a limit of characters, and name the parts that were left out."""

from collections.abc import Sequence

import msgspec


class PageBlock(msgspec.Struct, frozen=True):
    """A piece of text that may be cut at its end; ``rest`` is the command that shows all of it."""

    text: str
    rest: str


class Section(msgspec.Struct, frozen=True):
    """Blocks under a heading.

    Attributes:
        share: The part of the page that is reserved for the section while those before it are laid out. What
            it does not need goes to them, and what they leave goes to it.
        rest: The command that shows all of the section.
    """

    title: str
    blocks: Sequence[PageBlock]
    share: float
    rest: str

    def full(self) -> str:
        """Return the whole section."""
        return "\n\n".join([f"## {self.title}", *(block.text for block in self.blocks)])


_FENCE = "\n```"

_SHORTEST = 40
"""The smallest length of a cut block; a shorter one is left out."""

_LEAST = 100
"""The smallest share that is reserved; a smaller one is too small for any block."""

_LISTED = 5
"""How many commands are named for blocks that did not fit."""


def lay_out(head: str, sections: Sequence[Section], limit: int) -> str:
    """Put a page together.

    Args:
        head: The beginning, cut only if it is longer than the page.
        sections: The rest, the most important section first; empty ones are left out.
        limit: Characters that the page may have.
    """
    sections = [section for section in sections if section.blocks]
    full = "\n\n".join([head, *(section.full() for section in sections)]) + "\n"
    if len(full) <= limit:
        return full
    # On a small page the room goes to the first section: no titles are listed, nothing is reserved.
    names_missing = len(_footer(sections)) * 4 <= limit
    room = limit - len(head) - len(_footer(sections if names_missing else ())) - 2
    if room < 0:
        return _headline(head, limit)
    page, missing = [head], []
    for i, section in enumerate(sections):
        later = sections[i + 1 :]
        shares = ((section, int(section.share * limit)) for section in later)
        reserved = sum(min(len(s.full()) + 2, share) for s, share in shares if share >= _LEAST)
        if text := _fitted(section, room - 2 - reserved):
            page.append(text)
            room -= len(text) + 2
        else:
            missing.append(section)
    return "\n\n".join([*page, _footer(missing if names_missing else ())])


def _footer(missing: Sequence[Section]) -> str:
    titles = f"; left out: {', '.join(section.title for section in missing)}" if missing else ""
    return f"(Cut to fit the budget{titles}. A larger `--budget` shows more.)\n"


def _headline(head: str, limit: int) -> str:
    """Return the beginning of the head, in whole lines, as far as it fits."""
    ending = f"\n\n{_footer([])}"
    room = limit - len(ending)
    if len(head) <= room:
        return head + ending
    room -= len(_FENCE)
    lines = head[: max(room, 0) + 1].rpartition("\n")[0]
    if not lines:
        return head[:limit]
    return lines + (_FENCE if lines.count("```") % 2 == 1 else "") + ending


def _fitted(section: Section, room: int) -> str:
    """Return as much of a section as fits, with the commands that show the rest; empty if nothing fits."""
    full = section.full()
    if len(full) <= room:
        return full
    pieces = [f"## {section.title}"]
    room -= len(pieces[0])
    for i, block in enumerate(section.blocks):
        further = section.blocks[i + 1 :]
        reserved = len(_left_out(further, section.rest)) + 2 if further else 0
        if len(block.text) + 2 + reserved > room:
            text = _cut(block, room - 2 - reserved)
            if not (i or text) and all(block.rest == section.rest for block in section.blocks):
                return ""  # the note would name only the command of the section
            note = _left_out(further if text else section.blocks[i:], section.rest)
            ending = [piece for piece in (text, note) if piece]
            while ending and sum(len(piece) + 2 for piece in ending) > room:
                ending.pop()
            pieces += ending
            break
        pieces.append(block.text)
        room -= len(block.text) + 2
    return "\n\n".join(pieces) if len(pieces) > 1 else ""


def _cut(block: PageBlock, room: int) -> str:
    """Return the beginning of a block and the command that shows all of it; empty if too little fits."""
    note = f"(Cut; all of it: `{block.rest}`)"
    room -= len(note) + 3
    if room < _SHORTEST:
        return ""
    # A quote stays a quote: every line that is kept begins with its sign, and the blank line ends it.
    return f"{block.text[:room].rstrip()}…\n\n{note}"


def _left_out(blocks: Sequence[PageBlock], rest: str) -> str:
    if not blocks:
        return ""
    commands = list(dict.fromkeys(block.rest for block in blocks[:_LISTED]))
    if len(blocks) > _LISTED:
        commands.append(rest)
    return f"(Left out: {len(blocks)}; see {', '.join(f'`{command}`' for command in commands)})"
