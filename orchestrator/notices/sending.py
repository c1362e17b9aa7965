"""Send a notice: a program of the person with the notice on stdin, or apprise in a process of its own."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import msgspec

from orchestrator.core import processes, system
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.notices.rules import Rule, address_of
from orchestrator.notices.texts import NoticeText

TIMEOUT = 30.0
"""Seconds after which sending is ended."""

LEASE = 60.0
"""Seconds of an attempt: it is longer than the sending, so that another process begins only after its end."""

_DESKTOP = (
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),
    *("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_CURRENT_DESKTOP"),
)
_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
_SENDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sender.py")


class _Reply(msgspec.Struct):
    """What the sender prints."""

    reason: str


def check_installed() -> None:
    """Refuse to go on without apprise.

    Raises:
        UsageError: It is not installed.
    """
    if find_spec("apprise") is None:
        raise UsageError(
            "The extra notify is not installed",
            hint="pip install 'agent-orchestrator[notify]'; `--to command` needs nothing more",
        )


def check_address(rule: Rule) -> str:
    """Why a rule cannot send notices, else empty; nothing is sent."""
    if rule.to == "command":
        return "" if shutil.which(rule.words[0]) else f"there is no program {rule.words[0]}"
    return _through_apprise(rule, {"only_check": True})


def send(
    rule: Rule, notice: NoticeText, until: float, hear: Callable[[str], object] = lambda _: None
) -> str:
    """Send a notice; why it was not sent, in a sentence without secrets, else empty.

    Args:
        rule: Where it goes.
        notice: The notice.
        until: The end of the lease, in seconds since 1970. If so little is left of it that another process
            could begin before the end, nothing is sent: this one was stopped, or the machine slept.
        hear: Gets what a program of the person has written, which may hold secrets.
    """
    latest = until - TIMEOUT
    if time.time() > latest:
        return "it is too late to send it"
    if rule.to == "command":
        return _through_command(rule, notice, hear)
    return _through_apprise(rule, {**msgspec.to_builtins(notice), "latest": latest})


def _through_command(rule: Rule, notice: NoticeText, hear: Callable[[str], object]) -> str:
    try:
        result = _run(list(rule.words), msgspec.json.encode(notice))
    except OSError as error:
        return f"its program cannot be started: {error.strerror}"
    hear(result.output)
    if result.status is None:
        return f"its program did not end within {TIMEOUT:g} s"
    return f"its program ended with status {result.status}" if result.status else ""


def _through_apprise(rule: Rule, request: dict[str, Any]) -> str:
    try:
        address = address_of(rule)
    except OrchestratorError as error:
        return error.message
    place = {"desktop": system.DESKTOP, "bus": system.session_bus(), "needs": system.DESKTOP_NEEDS}
    data = msgspec.json.encode({**request, **place, "to": rule.to, "address": address})
    try:
        result = _run([sys.executable, "-P", _SENDER], data)
    except OSError as error:
        return f"its sender cannot be started: {error.strerror}"
    if result.status is None:
        return "it did not answer in time"
    try:
        return msgspec.json.decode(result.output.strip().rpartition("\n")[2], type=_Reply).reason
    except msgspec.MsgspecError:
        return f"its sender ended with status {result.status}"


def _run(words: list[str], data: bytes) -> processes.ProgramResult:
    """Run a program with data on stdin, from a file without a name, so that no write waits for a reader."""
    names = (*_DESKTOP, *_NETWORK)
    variables = processes.passed_on(os.environ) | {
        name: os.environ[name] for name in names if name in os.environ
    }
    with tempfile.TemporaryFile() as stdin:
        stdin.write(data)
        stdin.seek(0)
        return processes.run(
            words,
            folder=os.path.expanduser("~"),
            variables=variables,
            timeout=TIMEOUT,
            kept=4096,
            stdin=stdin,
        )
