"""Notices reach real receivers; what goes wrong is named without a secret."""

import email
import email.policy
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

if sys.platform == "linux":
    from jeepney import HeaderFields, new_error, new_method_return
    from jeepney.bus_messages import message_bus
    from jeepney.io.blocking import open_dbus_connection

from orchestrator import UsageError
from orchestrator.notices import sending
from orchestrator.notices.rules import Rule
from orchestrator.notices.sending import LEASE, check_address, check_installed, send
from orchestrator.notices.texts import NoticeText, safe

from .servers import Webhooks, closed_port, silent_port

SECRET = "s3cr3t"
NOTICE = NoticeText(
    rule="phone",
    title=safe("board: task.failed <b> @everyone"),
    body=f"{safe('ann failed <script>x</script>')}\nand 12 more",
    events=({"id": 7, "payload": {"reason": "<script>"}},),
    more=12,
)


def sent(rule: Rule, notice: NoticeText = NOTICE) -> str:
    return send(rule, notice, time.time() + LEASE)


def hook(address: str) -> Rule:
    return Rule(on=("*",), to="webhook", address=address)


@pytest.fixture
def webhooks() -> Iterator[Webhooks]:
    server = Webhooks()
    yield server
    server.close()


class TestWebhooks:
    def test_a_webhook_gets_the_notice_and_its_events_as_json(self, webhooks: Webhooks):
        address = f"http://ann:p%40ss@{webhooks.address}/a/to%20ken?key={SECRET}&empty="
        assert sent(hook(address)) == ""
        ((path, authorization, body),) = webhooks.received
        assert path == f"/a/to%20ken?key={SECRET}&empty="
        assert authorization == "Basic YW5uOnBAc3M="
        assert (body["title"], body["message"]) == (NOTICE.title, NOTICE.body)
        assert (body["events"], body["more"], body["rule"]) == ([*NOTICE.events], 12, "phone")

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
    def test_a_refusal_is_named_by_its_status(self, webhooks: Webhooks, status: int):
        assert sent(hook(f"{webhooks.url}/{status}/{SECRET}")) == (
            f"it answered with HTTP status {status}"
        )

    def test_no_redirect_is_followed(self, webhooks: Webhooks):
        assert sent(hook(f"{webhooks.url}/302/{SECRET}")) == "it answered with HTTP status 302"
        assert webhooks.paths == [f"/302/{SECRET}"]

    def test_a_server_that_hangs_fails_in_time(self, webhooks: Webhooks):
        assert sent(hook(f"{webhooks.url}/hang/{SECRET}")) == "it did not answer in time"

    def test_a_sender_that_does_not_end_is_ended(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(sending, "TIMEOUT", 0.05)
        with silent_port() as port:
            assert sent(hook(f"http://127.0.0.1:{port}/")) == "it did not answer in time"

    def test_a_server_that_is_not_there(self):
        reason = sent(hook(f"http://u:{SECRET}@127.0.0.1:{closed_port()}/{SECRET}"))
        assert reason == "the connection was refused"

    def test_an_address_without_a_service(self):
        for address in ("nothing://x", "https://", "http://h:port/", "x", "json://"):
            assert check_address(hook(address)), address

    def test_services_of_apprise_are_known_by_their_scheme_or_host(self):
        for address in (
            "ntfys://topic",
            "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        ):
            assert check_address(hook(address)) == "", address

    def test_nothing_is_sent_too_late(self, webhooks: Webhooks):
        reason = send(hook(webhooks.url), NOTICE, time.time() + sending.TIMEOUT - 1)
        assert reason == "it is too late to send it"
        assert webhooks.received == []


class Mailbox:
    """A mail server that keeps what it gets, or refuses it."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.users: list[Any] = []
        self.refusal = ""
        self.takes_password = True
        self._controller = Controller(
            self, hostname="127.0.0.1", port=closed_port(), auth_require_tls=False,
            authenticator=self._check,
        )  # fmt: skip
        self._controller.start()
        self.address = f"127.0.0.1:{self._controller.port}"

    def _check(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        self.users.append((data.login, data.password))
        return AuthResult(success=self.takes_password, handled=False)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        return "250 OK"

    def close(self) -> None:
        self._controller.stop()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    yield box
    box.close()


def mail(mailbox: Mailbox, user: str = "") -> Rule:
    address = f"mailto://{user}{mailbox.address}?from=orc@example.com&to=ann@example.com"
    return Rule(on=("*",), to="email", address=address)


class TestMail:
    def test_a_mail_is_plain_text_with_one_subject(self, mailbox: Mailbox):
        assert sent(mail(mailbox)) == ""
        (message,) = mailbox.received
        assert message["Subject"] == NOTICE.title
        assert "ann@example.com" in message["To"]
        assert message.get_content_type() == "text/plain"
        assert message.get_content().split() == NOTICE.body.split()
        assert message["Bcc"] is None

    def test_a_title_of_an_agent_adds_no_header(self, mailbox: Mailbox):
        title = safe("a\r\nBcc: all@example.com\r\n\r\n<html>")
        assert sent(mail(mailbox), NoticeText(rule="x", title=title, body="b", events=())) == ""
        (message,) = mailbox.received
        assert message["Bcc"] is None
        assert message.get_content().strip() == "b"

    def test_a_wrong_password_is_named_without_it(self, mailbox: Mailbox):
        mailbox.takes_password = False
        reason = sent(mail(mailbox, f"ann:{SECRET}@"))
        assert reason == "its mail server answered with 535"
        assert mailbox.users

    def test_a_refused_mail_is_named_by_its_status(self, mailbox: Mailbox):
        mailbox.refusal = "554 no"
        assert sent(mail(mailbox)) == "its mail server answered with 554"

    def test_a_mail_server_that_never_answers(self):
        with silent_port() as port:
            address = f"mailto://127.0.0.1:{port}?from=orc@example.com&to=ann@example.com"
            rule = Rule(on=("*",), to="email", address=address)
            assert sent(rule) == "it did not answer in time"

    def test_mail_has_an_address_for_mail(self):
        rule = Rule(on=("*",), to="email", address="json://localhost")
        assert "not one for mail" in check_address(rule)


PROGRAM = "import sys, json; json.dump([sys.argv[1:], json.load(sys.stdin)], open('{}', 'w'))"


class TestCommands:
    def test_a_program_gets_its_arguments_as_they_are_and_the_notice_on_stdin(self, tmp_path: Path):
        out = tmp_path / "out.json"
        program = (sys.executable, "-c", PROGRAM.format(out), "$(touch x)", ";", "a b", "*")
        assert sent(Rule(on=("*",), to="command", words=program)) == ""
        words, notice = json.loads(out.read_text())
        assert words == ["$(touch x)", ";", "a b", "*"]
        assert notice["title"] == NOTICE.title
        assert notice["events"] == [*NOTICE.events]
        assert notice["more"] == 12

    def test_a_program_that_fails_or_is_not_there(self, tmp_path: Path):
        program = (sys.executable, "-c", f"import sys; print('{SECRET}'); sys.exit(3)")
        assert sent(Rule(on=("*",), to="command", words=program)) == (
            "its program ended with status 3"
        )
        reason = sent(Rule(on=("*",), to="command", words=(str(tmp_path / "no"),)))
        assert reason.startswith("its program cannot be started: ")

    def test_a_program_that_hangs_is_ended(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(sending, "TIMEOUT", 0.2)
        program = (sys.executable, "-c", "import signal; signal.pause()")
        assert sent(Rule(on=("*",), to="command", words=program)) == (
            "its program did not end within 0.2 s"
        )

    def test_a_program_gets_no_key_of_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("SOME_API_KEY", SECRET)
        out = tmp_path / "env"
        program = f"import os; open('{out}', 'w').write(repr(dict(os.environ)))"
        rule = Rule(on=("*",), to="command", words=(sys.executable, "-c", program))
        assert sent(rule) == ""
        assert SECRET not in out.read_text()


class Desktop:
    """A desktop on a session bus of its own that keeps the notices it would show, or refuses them."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.capabilities = ["body"]
        self.refuses = False
        self._folder = tempfile.TemporaryDirectory(prefix="bus")
        self.folder = self._folder.name
        words = ["dbus-daemon", "--session", "--nofork", "--print-address"]
        self._bus = subprocess.Popen(
            [*words, f"--address=unix:path={self.folder}/bus"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._bus.stdout is not None
        self.address = self._bus.stdout.readline().strip()
        self._connection = open_dbus_connection(self.address)

    def appear(self) -> None:
        """Begin to show notices; before, no program on the bus does."""
        bus = message_bus.RequestName("org.freedesktop.Notifications")
        self._connection.send_and_get_reply(bus)
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                call = self._connection.receive()
                member = call.header.fields.get(HeaderFields.member)
                if member == "GetCapabilities":
                    self._connection.send(new_method_return(call, "as", (self.capabilities,)))
                elif member == "Notify" and self.refuses:
                    self._connection.send(new_error(call, "org.example.Refused"))
                elif member == "Notify":
                    self.shown.append((call.body[3], call.body[4]))
                    self._connection.send(new_method_return(call, "u", (1,)))

    def close(self) -> None:
        self._bus.kill()
        self._bus.communicate()
        self._folder.cleanup()


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    if sys.platform != "linux" or shutil.which("dbus-daemon") is None:
        pytest.skip("needs the dbus-daemon of Linux")
    desktop = Desktop()
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", desktop.address)
    yield desktop
    desktop.close()


class TestDesktops:
    RULE = Rule(on=("*",), to="desktop")

    def test_a_desktop_shows_the_notice_and_a_check_shows_none(self, desktop: Desktop):
        desktop.appear()
        assert check_address(self.RULE) == ""
        assert desktop.shown == []
        assert sent(self.RULE) == ""
        assert desktop.shown == [(NOTICE.title, NOTICE.body)]

    def test_a_desktop_that_reads_markup_gets_none(self, desktop: Desktop):
        desktop.capabilities.append("body-markup")
        desktop.appear()
        assert sent(self.RULE, NoticeText(rule="x", title="a & b", body="<b> &", events=())) == ""
        assert desktop.shown == [("a & b", "&lt;b&gt; &amp;")]

    def test_why_it_was_not_shown_is_named(self, desktop: Desktop, monkeypatch: pytest.MonkeyPatch):
        assert sent(self.RULE) == "no program on the session bus shows notices"
        desktop.refuses = True
        desktop.appear()
        assert sent(self.RULE) == "the desktop refused it"
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        no_bus = "there is no desktop: no session bus of this user answers"
        assert sent(self.RULE) == check_address(self.RULE) == no_bus

    def test_the_bus_is_found_without_the_variables_of_a_session(
        self, desktop: Desktop, monkeypatch: pytest.MonkeyPatch
    ):
        """As in a program that cron starts."""
        desktop.appear()
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
        monkeypatch.setenv("XDG_RUNTIME_DIR", desktop.folder)
        assert sent(self.RULE) == ""


def test_without_apprise_the_error_has_the_remedy(monkeypatch: pytest.MonkeyPatch):
    check_installed()
    monkeypatch.setattr(sending, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as error:
        check_installed()
    assert "agent-orchestrator[notify]" in error.value.hint
