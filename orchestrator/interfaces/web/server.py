"""The server process: its socket, its token, and the limits of connections."""

import asyncio
import logging
import os
import secrets
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core.errors import InputOutputError, UsageError
from orchestrator.core.user_files import UserFile
from orchestrator.interfaces.web.access import rules_of
from orchestrator.interfaces.web.app import Service, application
from orchestrator.supervisor.places import board_name

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

CONNECTIONS = 1000
"""How many connections are open at once."""

HEAD_TIME = 10.0
"""Seconds in which the head of a request must arrive."""

_IDLE = 15
_HEAD_SIZE = 32 << 10
_ENDING = 1


class Tokens(msgspec.Struct):
    """The token of each board, by its folder."""

    tokens: dict[str, str] = {}


class TokenFile(UserFile[Tokens]):
    """The tokens of this user's servers. They stay, so that open pages go on after a restart."""

    FILE = "serve.json"
    CONTENT = Tokens
    WHAT = "is the token"
    COMMAND = "orc serve"
    DAMAGED = "tokens_damaged"


def token_of(board: str, *, new: bool = False, folder: str | None = None) -> str:
    """The token for a board; it is made when it is first needed.

    Args:
        board: The folder of the board.
        new: Make another one, so that open pages and old links end.
        folder: Where it is kept; else the folder of the user.
    """
    file = TokenFile(folder)

    def renewed(known: Tokens) -> Tokens:
        if board in known.tokens and not new:
            return known
        return Tokens({**known.tokens, board: secrets.token_urlsafe(32)})

    if new or board not in file.read().tokens:
        file.change(renewed)
    return file.read().tokens[board]


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which closes a connection whose client takes too long for the head of a request."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of the head, or stop waiting when the request has begun."""
        if self._is_idle():
            self._wait()
        super().data_received(data)
        if not self._is_idle():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIME, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class EndingServer(uvicorn.Server):
    """uvicorn's server, which ends the streams before it waits for the end of all requests."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all requests."""
        self._service.log.end()
        await super().shutdown(sockets)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a server is reached.

    Attributes:
        host: The address that it listens on.
        port: The port; 0: a free one.
        names: Further values of ``Host``, without the port.
        origins: Origins of other pages that may use it.
        certificate: The file with the certificate; empty: without TLS.
        key: The file with its key.
        is_read_only: Whether it refuses every change.
    """

    host: str = "127.0.0.1"
    port: int = 0
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    is_read_only: bool = False

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach it."""
        return self.host not in ("127.0.0.1", "::1", "localhost")


class Serving:
    """A server that listens, and has not answered yet.

    Args:
        address: Where it is reached.
        token: What every request needs.

    Raises:
        InputOutputError: It cannot listen there.
        UsageError: The certificate cannot be used.
    """

    def __init__(self, address: Address, token: str) -> None:
        self._address = address
        self._token = token
        self._tls = _tls_of(address)
        self._socket = _listening(address)
        self.port: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """Its address."""
        name = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        if name in ("0.0.0.0", "[::]"):  # noqa: S104  they are no names of a server
            name = self._address.names[0] if self._address.names else "127.0.0.1"
        return f"{'https' if self._tls else 'http'}://{name}:{self.port}/"

    @property
    def link(self) -> str:
        """The address with the token, which a browser keeps as a cookie."""
        return f"{self.url}?token={self._token}"

    def run(self, orc: Orchestrator, agent: str) -> None:
        """Answer requests until SIGINT or SIGTERM."""
        # The worker processes import nothing from the folder in which the server was started.
        os.environ["PYTHONSAFEPATH"] = "1"
        address = self._address
        host = f"[{address.host}]" if ":" in address.host else address.host
        rules = rules_of(
            self._token,
            {*LOOPBACK, host, *(name.lower() for name in address.names)},
            self.port,
            others=address.origins,
            is_secure=self._tls is not None,
            is_read_only=address.is_read_only,
        )
        asyncio.run(self._serve(orc, agent, rules))

    async def _serve(self, orc: Orchestrator, agent: str, rules: Any) -> None:
        service = Service(
            AsyncOrchestrator(orc),
            agent,
            board_name(orc.folder or ""),
            is_read_only=rules.is_read_only,
        )
        config = uvicorn.Config(
            application(service, rules),
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_ENDING,
            h11_max_incomplete_event_size=_HEAD_SIZE,
        )
        config.load()
        config.ssl = self._tls
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        await EndingServer(config, service).serve([self._socket])

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _tls_of(address: Address) -> ssl.SSLContext | None:
    if not address.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(address.certificate, address.key or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"The certificate cannot be used: {error.strerror or error}",
            hint="--cert names a file in PEM, --key its key.",
        ) from None
    return context


def _listening(address: Address) -> socket.socket:
    try:
        families: Sequence[Any] = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, bound = families[0]
        listener = socket.create_server(bound, family=family, backlog=1024)
        # asyncio sets it only for sockets that it has made; without it an answer waits 40 ms for its body.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise InputOutputError(
            f"The server cannot listen on {address.host} port {address.port}: {error.strerror}",
            hint="`orc serve --port 0` takes a free port.",
        ) from None
    listener.setblocking(False)
    return listener
