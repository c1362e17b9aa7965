"""The files of the web page: the shell for every address of a view, and what it loads."""

import html
import os
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.interfaces.web.answers import HttpProblem, tagged

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


@cache
def files() -> dict[str, bytes]:
    """The files by their path after the prefix. Nothing else can be asked for."""
    contents = {}
    for folder, _, names in os.walk(_FOLDER):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1] in _TYPES:
                with open(path, "rb") as file:
                    contents[os.path.relpath(path, _FOLDER).replace(os.sep, "/")] = file.read()
    return contents


def file(request: Request) -> Response:
    """A file of the page.

    Raises:
        HttpProblem: There is no such file.
    """
    path = request.path_params["path"]
    content = files().get(path)
    if content is None or path == "index.html":
        raise HttpProblem(404, "no_file", "There is no such file of the page")
    media_type = _TYPES[os.path.splitext(path)[1]]
    return tagged(request, content, media_type, 200, dict(_HEADERS))


def shell(request: Request, *, person: str, board: str, event: int, is_read_only: bool) -> Response:
    """The page, for each address that is a view of it.

    Args:
        request: What is asked.
        person: Under which name its actions are events.
        board: The name of the board.
        event: The last event of the log, from which the page follows it.
        is_read_only: Whether nothing can be changed.
    """
    names = sorted(files())
    styles = [f'<link rel="stylesheet" href="{PREFIX}{n}">' for n in names if n.endswith(".css")]
    # The browser asks for all modules at once, not for each when it has read the one before.
    modules = [
        f'<link rel="modulepreload" href="{PREFIX}{n}">'
        for n in names
        if n.endswith(".js") and n not in _LATE
    ]
    facts = {
        "person": html.escape(person),
        "board": html.escape(board),
        "event": str(event),
        "read_only": "yes" if is_read_only else "no",
        "styles": "\n".join(styles),
        "modules": "\n".join(modules),
    }
    text = files()["index.html"].decode()
    for name, value in facts.items():
        before, mark, after = text.partition(f"{{{name}}}")
        assert mark, name
        text = before + value + after
    return tagged(request, text.encode(), "text/html", 200, dict(_HEADERS))


_LATE = ("app.js", "views/graph-layout.js", "vendor/dagre/dagre.js")
"""Modules that the shell loads itself, or that only a worker loads."""
