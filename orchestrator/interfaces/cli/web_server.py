"""``orc serve``: serve the board over HTTP."""

import gc
import getpass
import os
import sys
from importlib.util import find_spec

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.parameters import flag, option
from orchestrator.interfaces.cli.rendering import warn, write
from orchestrator.interfaces.cli.run import Run

PORT = 8137


@BOARD.command("serve", example="serve --read-only", local=True)
@option("--port", "The port; 0 takes a free one.", types.INTEGER, default=PORT)
@flag("--read-only", "Only show the board.")
@option("--host", "Another address to listen on, for other machines.", types.NAME, metavar="ADDR")
@option("--cert", "With --host: a certificate in PEM, for TLS.", types.FILE)
@option("--key", "With --cert: its key, if it is in another file.", types.FILE)
@option("--allow-host", "Another name of this machine in addresses.", types.NAME, many=True)
@option(
    "--allow-origin",
    "Pages of this origin may use the server: https://example.org.",
    types.NAME,
    many=True,
)
@flag("--new-token", "Make a new token: old links and open pages end.")
def serve(
    run: Run,
    port: int,
    read_only: bool,
    host: str | None,
    cert: str | None,
    key: str | None,
    allow_host: tuple[str, ...] | None,
    allow_origin: tuple[str, ...] | None,
    new_token: bool,
) -> None:
    """Serve the board over HTTP, for programs and pages, until the process is ended.

    It prints a link with a token, which a browser keeps as a cookie; programs send it as `Authorization:
    Bearer`. `/api/openapi.json` describes the routes. What names no agent is done under the name of
    --agent, else of the user of this machine.
    """
    if not 0 <= port < 1 << 16:
        raise UsageError(f"{port} is not a port", hint="Give a number up to 65535, or 0.")
    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise UsageError(
            "The extra web is not installed", hint="pip install 'agent-orchestrator[web]'"
        )
    person = names.agent(run.agent or getpass.getuser())
    from orchestrator import Orchestrator
    from orchestrator.interfaces.web.server import Address, Serving, token_of

    gc.enable()  # `process` has disabled it for commands that end soon
    with Orchestrator.open(run.settings.board, agent=person, warn=_warn, reads=True) as orc:
        address = Address(
            host=host or "127.0.0.1",
            port=port,
            names=allow_host or (),
            origins=allow_origin or (),
            certificate=cert or "",
            key=key or "",
            is_read_only=read_only,
        )
        serving = Serving(address, token_of(orc.folder or "memory:", new=new_token))
        if address.is_open and not cert:
            warn(
                f"other machines reach this server on {address.host}, and without --cert everybody on the way"
                " can read the token"
            )
        shown = {"url": serving.url, "link": serving.link, "agent": person}
        text = f"Serving {escape(orc.folder or 'a board in memory')} as {escape(person)}\n{serving.link}\n"
        write(msgspec.json.encode(shown) + b"\n" if run.settings.json else text.encode())
        _leave_terminal()
        try:
            serving.run(orc, person)
        finally:
            serving.close()


def _leave_terminal() -> None:
    """Let no command of a request read or write the terminal of the server, nor open an editor there."""
    sys.stdin = None
    sys.stdout = open(os.devnull, "w", encoding="utf-8", newline="")  # noqa: SIM115  until the process ends


def _warn(text: str) -> None:
    """Write a warning of the board on stderr, whose command lines are marked for tools."""
    from orchestrator.interfaces.catalogue import MARK

    warn(text.replace(MARK, ""))
