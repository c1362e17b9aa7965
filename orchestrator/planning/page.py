"""A page of markdown that keeps within a number of characters and says what it left out."""

from collections.abc import Sequence

import msgspec


class Block(msgspec.Struct, frozen=True):
    """A piece of text that may be cut at its end; ``rest`` is the command that shows all of it."""

    text: str
    rest: str


class Section(msgspec.Struct, frozen=True):
    """Blocks under a heading.

    ``share`` is the part of the page that is kept for it while the sections before it are laid out; what
    it does not need goes to them, and what they leave goes to it.
    """

    title: str
    blocks: Sequence[Block]
    share: float
    rest: str

    def full(self) -> str:
        """The whole section."""
        return "\n\n".join([f"## {self.title}", *(block.text for block in self.blocks)])


_SHORTEST = 40
"""Characters below which a cut block says nothing."""

_LISTED = 5
"""Commands that are named for blocks that did not fit."""


def lay_out(head: str, sections: Sequence[Section], limit: int) -> str:
    """Put a page together.

    Args:
        head: What must be there; is cut only if it is longer than the page.
        sections: What follows, the most important first; empty ones are left out.
        limit: Characters that the page may have.
    """
    sections = [section for section in sections if section.blocks]
    full = "\n\n".join([head, *(section.full() for section in sections)]) + "\n"
    if len(full) <= limit:
        return full
    footer = "(Cut to fit the budget; a larger `--budget` shows more.)\n"
    room = limit - len(head) - len(footer) - 4
    if room < 0:
        return _headline(head, limit, footer)
    pages = [head]
    for i, section in enumerate(sections):
        kept = sum(
            min(len(later.full()) + 2, int(later.share * limit)) for later in sections[i + 1 :]
        )
        text = _fitted(section, max(0, room - kept - 2))
        if text:
            pages.append(text)
            room -= len(text) + 2
    return "\n\n".join([*pages, footer])


def _headline(head: str, limit: int, footer: str) -> str:
    """The head alone, whole lines of it, as far as it fits."""
    if len(head) + len(footer) + 2 <= limit:
        return f"{head}\n\n{footer}"
    if len(head) < limit:
        return f"{head}\n"
    whole = head[:limit].rfind("\n")
    return head[: whole + 1] if whole > 0 else head[:limit]


def _fitted(section: Section, room: int) -> str:
    """As much of a section as fits, with the commands that show the rest; empty if nothing fits."""
    full = section.full()
    if len(full) <= room:
        return full
    pieces = [f"## {section.title}"]
    room -= len(pieces[0])
    for i, block in enumerate(section.blocks):
        further = section.blocks[i + 1 :]
        reserved = len(_left_out(further, section.rest)) + 2 if further else 0
        text = block.text if len(block.text) + 2 + reserved <= room else ""
        if not text:
            text = _cut(block, room - 2 - reserved)
            note = _left_out(further if text else section.blocks[i:], section.rest)
            ending = [piece for piece in (text, note) if piece]
            while ending and sum(len(piece) + 2 for piece in ending) > room:
                ending.pop()
            pieces += ending
            break
        pieces.append(text)
        room -= len(text) + 2
    return "\n\n".join(pieces) if len(pieces) > 1 else ""


def _cut(block: Block, room: int) -> str:
    """The beginning of a block and the command that shows all of it; empty if too little fits."""
    note = f"(Cut; all of it: `{block.rest}`)"
    room -= len(note) + 3
    if room < _SHORTEST:
        return ""
    # A quote stays one: every line that is kept begins with its sign, and the blank line ends it.
    return f"{block.text[:room].rstrip()}…\n\n{note}"


def _left_out(blocks: Sequence[Block], rest: str) -> str:
    if not blocks:
        return ""
    commands = list(dict.fromkeys(block.rest for block in blocks[:_LISTED]))
    if len(blocks) > _LISTED:
        commands.append(rest)
    return f"(Left out: {len(blocks)}; see {', '.join(f'`{command}`' for command in commands)})"
