"""The program that sends a notice through ``apprise``, in a process of its own that ends at its time.

It gets the notice and the address on stdin, so that no list of processes shows an address, and prints why
the notice was not sent: a sentence of its own. What apprise and the libraries under it write is only searched
for a few words, because it may hold the address and its secrets.

The program imports nothing of the toolkit: it runs as a file, alone.
"""

import json
import logging
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
    try:
        import apprise
    except ImportError:
        reason = "the extra notify is not installed"
    else:
        logging.getLogger("apprise").setLevel(logging.DEBUG)
        try:
            reason = _send(apprise, request, memory)
        except Exception as error:  # noqa: BLE001  its text may hold the address
            reason = f"apprise failed with {type(error).__name__}"
    print(json.dumps({"reason": reason}))  # noqa: T201  the answer


def _send(apprise: Any, request: dict[str, Any], memory: _KeptLog) -> str:
    """Send a notice; why it was not sent, else empty."""
    asset = apprise.AppriseAsset(app_id="orc", app_desc="orc", async_mode=False)
    asset.http_redirects = False  # no token goes where an answer leads
    service = (
        _desktop(apprise, asset, request["desktops"])
        if request["to"] == "desktop"
        else _service(apprise, asset, request)
    )
    if service is None and request["to"] == "desktop":
        return f"there is no desktop: it needs {request['needs']}"
    if service is None:
        return "apprise does not understand its address"
    if request["to"] == "email" and not str(type(service).__module__).startswith(
        "apprise.plugins.email"
    ):
        return "its address is not one for mail: mailtos://USER:PASSWORD@HOST?to=ADDRESS"
    if request.get("only_check"):
        return ""
    if time.time() > request["latest"]:
        return "it is too late to send it"
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
        return "the desktop did not take it; it needs a session bus of this user"
    return "apprise could not send it"


def _desktop(apprise: Any, asset: Any, schemes: list[str]) -> Any:
    """The service of the first desktop that exists on this machine."""
    services = (
        apprise.Apprise.instantiate(f"{scheme}://", asset=asset, suppress_exceptions=True)
        for scheme in schemes
    )
    return next((service for service in services if service), None)


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
