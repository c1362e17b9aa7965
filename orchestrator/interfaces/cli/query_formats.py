"""The formats in which the answer to a query is printed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.layout import table
from orchestrator.interfaces.cli.rendering import plain

if TYPE_CHECKING:
    from orchestrator.index.query import QueryResult


def objects(result: "QueryResult") -> list[dict[str, Any]]:
    """The rows as objects; repeated names of columns get a number."""
    names = list[str]()
    for name in result.columns:
        number, unique = 1, name
        while unique in names:
            number += 1
            unique = f"{name}_{number}"
        names.append(unique)
    return [dict(zip(names, row, strict=True)) for row in result.rows]


def _as_table(result: "QueryResult") -> str:
    headers = [escape(name) for name in result.columns]
    return table(headers, [[_text(cell) for cell in row] for row in result.rows])


def _as_json(result: "QueryResult") -> str:
    return msgspec.json.format(msgspec.json.encode(plain(objects(result))), indent=2).decode()


def _as_jsonl(result: "QueryResult") -> str:
    return "\n".join(msgspec.json.encode(row).decode() for row in objects(result))


def _as_csv(result: "QueryResult") -> str:
    import csv
    import io

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_harmless, result.columns))
    writer.writerows([_harmless(cell) for cell in row] for row in result.rows)
    return file.getvalue().removesuffix("\n")


def _harmless(cell: object) -> object:
    """A cell that no spreadsheet runs: a quote before text that looks like a formula."""
    text = _text(cell)
    is_formula = isinstance(text, str) and text.lstrip()[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{text}" if is_formula else text


def _as_markdown(result: "QueryResult") -> str:
    rows = [result.columns, ["---"] * len(result.columns), *result.rows]
    cells = [[cell if cell == "---" else _in_markdown(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _in_markdown(cell: object) -> str:
    text = "" if cell is None else escape(str(_text(cell)))
    for sign, shown in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "\\|"),
        ("`", "\\`"),
        ("*", "\\*"),
        ("[", "\\["),
    ):
        text = text.replace(sign, shown)
    return text


def _text(cell: object) -> object:
    return f"x'{cell.hex()}'" if isinstance(cell, bytes) else cell


RENDERED: dict[str, Callable[["QueryResult"], str]] = {
    "table": _as_table,
    "json": _as_json,
    "jsonl": _as_jsonl,
    "csv": _as_csv,
    "markdown": _as_markdown,
}
