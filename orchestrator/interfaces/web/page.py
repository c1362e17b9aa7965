"""The files of the web page: the shell for every address of a view, and what it loads."""

import hashlib
import html
import os
import posixpath
import re
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.domain.tasks.facts import JUDGED, KEPT
from orchestrator.domain.tasks.given_facts import FACTS
from orchestrator.interfaces.web.answers import HttpProblem, tagged, to_json

PREFIX = "/page/"

_FOLDER = os.path.join(os.path.dirname(__file__), "page")

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""What is served; other files of the folder, such as licences, are not."""

POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' data:; "
    "connect-src 'self'; "
    "worker-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types worker"
)
"""No code and no style in the page itself, nothing from elsewhere, and no text that becomes markup."""

_HEADERS = {"Content-Security-Policy": POLICY}
_KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}

_SHELL, _STYLE = "index.html", "all.css"


@cache
def files() -> dict[str, bytes]:
    """The files by their path in the folder, the style sheets as one file. Nothing else can be asked for."""
    contents, styles = dict[str, bytes](), dict[str, bytes]()
    for folder, _, names in os.walk(_FOLDER):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), _FOLDER).replace(os.sep, "/")
            extension = os.path.splitext(name)[1]
            if extension in _TYPES:
                with open(os.path.join(_FOLDER, path), "rb") as file:
                    (styles if extension == ".css" else contents)[path] = file.read()
    # The style of the shell comes first, then the styles in `lib/`, then those in `views/`.
    in_order = sorted(styles, key=lambda path: (path.count("/"), path))
    contents["lib/facts.js"] = b"export const FACTS = %b;\n" % to_json(_facts())
    contents[_STYLE] = b"\n".join(styles[path] for path in in_order)
    return contents


def _facts() -> list[dict[str, Any]]:
    """The facts of a task that a person may give, as the page shows and edits them."""
    facts = []
    for name, fact in FACTS.items():
        field = fact.field or name
        label = KEPT[field].label if field in KEPT else ""
        shown = {
            "name": name,
            # The value of a check is within the checks of the record.
            "path": ["checks", name.removeprefix("verify_")] if field == "checks" else [field],
            "label": (label or name.replace("_", " ")).capitalize(),
            "help": fact.help,
            "kind": fact.kind,
            "is_rare": fact.is_rare,
            "is_judged": field in JUDGED,
        }
        facts.append(shown)
    return facts


@cache
def version() -> str:
    """A digest of all files, which each address contains: a browser keeps a file until it changes."""
    digest = hashlib.sha256()
    for path, content in sorted(files().items()):
        digest.update(f"{path} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


def file(request: Request) -> Response:
    """A file of the page.

    Raises:
        HttpProblem: There is no such file.
    """
    given, _, path = request.path_params["path"].partition("/")
    content = files().get(path)
    if given != version() or content is None or path == _SHELL:
        raise HttpProblem(404, "no_file", "There is no such file of the page")
    media_type = _TYPES[os.path.splitext(path)[1]]
    return tagged(request, content, media_type, 200, _HEADERS | _KEPT)


def shell(request: Request, *, person: str, board: str, event: int, is_read_only: bool) -> Response:
    """The page, for each address that is a view of it.

    Args:
        request: What is asked.
        person: Under which name its actions are events.
        board: The name of the board.
        event: The last event of the log, from which the page follows it.
        is_read_only: Whether nothing can be changed.
    """
    folder = f"{PREFIX}{version()}/"
    # The browser asks for all modules at once, not for each when it has read the one before.
    modules = [
        f'<link rel="modulepreload" href="{folder}{path}">'
        for path in _modules_of(request.url.path)
    ]
    facts = {
        "person": html.escape(person),
        "board": html.escape(board),
        "event": str(event),
        "read_only": "yes" if is_read_only else "no",
        "folder": folder,
        "modules": "\n".join(modules),
    }
    parts = re.split(r"\{(\w+)\}", files()[_SHELL].decode())
    # Every second part is a name. Braces in the value of a name are not replaced.
    text = "".join(facts[part] if number % 2 else part for number, part in enumerate(parts))
    return tagged(request, text.encode(), "text/html", 200, dict(_HEADERS))


def _modules_of(path: str) -> list[str]:
    """The modules of the shell, and those of the view whose name is the first word of the path."""
    view = f"views/{path.split('/')[1] or 'board'}.js"
    return sorted(_imported("app.js") | (_imported(view) if view in files() else set()))


@cache
def _imported(module: str) -> frozenset[str]:
    """A module, and all that it imports when it is loaded."""
    folder = posixpath.dirname(module)
    names = _IMPORT.findall(files()[module].decode())
    paths = {posixpath.normpath(posixpath.join(folder, name)) for name in names}
    return frozenset({module}.union(*(_imported(path) for path in paths)))


_IMPORT = re.compile(r'^(?:import|export)\b[^;]*?\bfrom ?"(\.[^"]+)";', re.MULTILINE)
