"""The program that sends a notice, in a process of its own that ends at its time.

It shows notices on a desktop of Linux over its session bus, and sends all others through ``apprise``.

It gets the notice and the address on stdin, so that no list of processes shows an address, and prints why
the notice was not sent: a sentence of its own. What apprise and the libraries under it write is only searched
for a few words, because it may hold the address and its secrets.

The program imports nothing of the toolkit: it runs as a file, alone.
"""

import html
import json
import logging
import os
import re
import sys
import time
import warnings
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_REASONS = (
    (r"error=(\d{3})", "it answered with HTTP status {}"),
    (r"\((\d{3}), b?['\"]", "its mail server answered with {}"),
    (r"CERTIFICATE_VERIFY|certificate verify", "its certificate is not valid"),
    (
        r"NameResolution|getaddrinfo|Name or service|Temporary failure in name",
        "its name is unknown",
    ),
    (r"refused", "the connection was refused"),
    (r"timed out|[Tt]imeout", "it did not answer in time"),
    (r"[Cc]onnection", "the connection failed"),
)
"""The reason for a failure, by a pattern in the log of apprise; the first match counts."""


_TOO_LATE = "it is too late to send it"


class _KeptLog(logging.Handler):
    """Keeps what libraries log, and lets none of it reach stderr."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main() -> None:
    """Send the notice on stdin, or only check its address, and print why that failed."""
    request = json.load(sys.stdin)
    memory = _KeptLog()
    logging.basicConfig(level=logging.DEBUG, handlers=[memory], force=True)
    warnings.simplefilter("ignore")
    is_on_bus = request["to"] == "desktop" and request["desktop"] == "dbus"
    try:
        reason = _show(request) if is_on_bus else _send(request, memory)
    except ImportError:
        reason = "the extra notify is not installed"
    except Exception as error:  # noqa: BLE001  its text may hold the address
        reason = f"sending failed with {type(error).__name__}"
    print(json.dumps({"reason": reason}))  # noqa: T201  the answer


def _show(request: dict[str, Any]) -> str:
    """Show a notice on the desktop that listens on a session bus; why it was not shown, else empty."""
    from jeepney import DBusAddress, MessageType, new_method_call
    from jeepney.io.blocking import open_dbus_connection

    os.environ["DBUS_SESSION_BUS_ADDRESS"] = request["bus"]
    try:
        connection = open_dbus_connection()
    except (OSError, RuntimeError, ValueError):
        return f"there is no desktop: {request['needs']}"
    name = "org.freedesktop.Notifications"
    desktop = DBusAddress("/org/freedesktop/Notifications", bus_name=name, interface=name)
    with connection:
        known = connection.send_and_get_reply(new_method_call(desktop, "GetCapabilities"))
        if known.header.message_type == MessageType.error:
            return "no program on the session bus shows notices"
        if request.get("only_check"):
            return ""
        body = request["body"]
        if "body-markup" in known.body[0]:
            body = html.escape(body, quote=False)
        notice: tuple[Any, ...] = ("orc", 0, "", request["title"], body, [], {}, -1)
        call = new_method_call(desktop, "Notify", "susssasa{sv}i", notice)
        if time.time() > request["latest"]:
            return _TOO_LATE
        shown = connection.send_and_get_reply(call)
    return "the desktop refused it" if shown.header.message_type == MessageType.error else ""


def _send(request: dict[str, Any], memory: _KeptLog) -> str:
    """Send a notice through apprise; why it was not sent, else empty."""
    import apprise

    logging.getLogger("apprise").setLevel(logging.DEBUG)
    asset = apprise.AppriseAsset(app_id="orc", app_desc="orc", async_mode=False)
    asset.http_redirects = False  # no token goes where an answer leads
    service = (
        apprise.Apprise.instantiate(
            f"{request['desktop']}://", asset=asset, suppress_exceptions=True
        )
        if request["to"] == "desktop"
        else _service(apprise, asset, request)
    )
    if service is None and request["to"] == "desktop":
        return f"there is no desktop: {request['needs']}"
    if service is None:
        return "apprise does not understand its address"
    if request["to"] == "email" and not str(type(service).__module__).startswith(
        "apprise.plugins.email"
    ):
        return "its address is not one for mail: mailtos://USER:PASSWORD@HOST?to=ADDRESS"
    if request.get("only_check"):
        return ""
    if time.time() > request["latest"]:
        return _TOO_LATE
    service.notify_format = apprise.NotifyFormat.TEXT
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    del memory.lines[:]
    if sender.notify(
        title=request["title"], body=request["body"], body_format=apprise.NotifyFormat.TEXT
    ):
        return ""
    return _reason("\n".join(memory.lines), request["to"])


def _reason(text: str, to: str) -> str:
    for pattern, reason in _REASONS:
        if match := re.search(pattern, text):
            return reason.format(*match.groups())
    if to == "desktop":
        return "the desktop did not take it"
    return "apprise could not send it"


def _service(apprise: Any, asset: Any, request: dict[str, Any]) -> Any:
    """The service of an address; a host that apprise has no service for gets JSON."""
    address = request["address"]
    known = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if known or not address.lower().startswith(("http://", "https://")):
        return known
    parts = urlsplit(address)
    if not parts.hostname:
        return None
    return apprise.Apprise.instantiate(
        {
            "schema": "jsons" if parts.scheme == "https" else "json",
            "host": parts.hostname,
            "port": parts.port,
            "user": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "fullpath": parts.path or "/",
            "params": dict(parse_qsl(parts.query, keep_blank_values=True)),
            "payload": {
                "rule": request.get("rule", ""),
                "events": request.get("events", []),
                "more": request.get("more", 0),
            },
        },
        asset=asset,
        suppress_exceptions=True,
    )


if __name__ == "__main__":
    main()
