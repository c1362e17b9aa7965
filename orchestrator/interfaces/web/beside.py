"""Commands that compute for seconds on a large board, in worker processes beside the server.

They read the board from the disk as it is when they begin. So no other request waits for them, neither for
the board nor for the interpreter, and their memory is free again when their processes end.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_process
from anyio import BrokenWorkerProcess

from orchestrator import Orchestrator
from orchestrator.board import open_store
from orchestrator.index.database import IndexFile
from orchestrator.interfaces.cli.rendering import Answer, plain, warn
from orchestrator.interfaces.web import command_routes
from orchestrator.interfaces.web.answers import HttpProblem

AT_ONCE = 2
"""How many commands compute at once; others wait."""

R = TypeVar("R")


class Beside:
    """The processes beside a server; each stays for some minutes after its last use."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def run(self, function: Callable[..., R], *arguments: Any) -> R:
        """Run a function of a module in such a process, which is killed if its caller is cancelled.

        Raises:
            HttpProblem: The process ended before it answered, such as when memory was short.
        """
        try:
            return await anyio.to_process.run_sync(
                function, *arguments, cancellable=True, limiter=self._limiter
            )
        except BrokenWorkerProcess:
            raise HttpProblem(
                503, "beside_ended", "The process that computed the answer has ended"
            ) from None


def answer_of(
    folder: str, path: str, agent: str, arguments: dict[str, Any], as_text: bool
) -> tuple[Answer[Any], dict[str, str]]:
    """Run a command that only reads on the board in a folder; see :func:`.command_routes.run`.

    The value and the text of the answer are plain, because another process gets them.
    """
    with Orchestrator.open(folder, agent=agent, reads=True, warn=warn) as orc:
        result, headers = command_routes.run(command_routes.call_of(path), orc, agent, arguments)
        value = None if as_text else plain(result.value)
        text = result.text() if as_text else ""
        return Answer(value, text.__str__, result.exit_status), headers


def make_index(folder: str) -> None:
    """Make the index of a board, or bring it up to date."""
    opened = open_store(folder, reads=True, warn=warn)
    IndexFile(opened.store, opened.folder, warn=warn).build()
