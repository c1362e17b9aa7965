"""Agents, mail, knowledge, decisions, locks and permissions in a browser."""

import re
from pathlib import Path

from playwright.sync_api import expect

from orchestrator import Orchestrator
from tests.interfaces.web import sample_boards

from .conftest import Opened


def events(board: Path, *types: str) -> list[tuple[str, str]]:
    """The events of these types with who caused them."""
    with Orchestrator.open(board) as orc:
        return [(record.type, record.agent) for record in orc.events.read() if record.type in types]


def test_mail_is_read_and_answered_with_the_keyboard_while_more_arrives(
    window: Opened, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    with Orchestrator.open(board, agent="ann") as orc:
        orc.agents.register("ben")
        first = orc.mail.send("kim", "The key expires", "Renew it **today**.").id
        orc.mail.send("ben", "For ben", "A secret")
    with window(board) as opened, Orchestrator.open(board, agent="ann") as orc:
        page = opened.page
        opened.open("/mail")
        page.get_by_role("link", name="The key expires").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("article").get_by_text("today").first).to_be_visible()
        page.get_by_label("Reply to ann").focus()
        page.keyboard.type("I do it")
        orc.mail.send("kim", "One more", "It arrives meanwhile.")
        expect(page.get_by_role("link", name="One more")).to_be_visible()
        expect(page.get_by_label("Reply to ann")).to_be_focused()
        page.reload()  # a draft outlives even that
        expect(page.get_by_label("Reply to ann")).to_have_value("I do it")
        page.get_by_label("Reply to ann").focus()
        page.keyboard.press("End")
        page.keyboard.type(" now")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Reply")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_text("I do it now")).to_be_visible()
        expect(page.get_by_label("Reply to ann")).to_have_value("")
        answer = orc.mail.thread(first)[1]
        assert (answer.sender, answer.body) == ("kim", "I do it now")
        page.get_by_role("button", name="Acknowledge: The key expires").click()
        expect(page.get_by_role("button", name="Acknowledge: The key expires")).to_have_count(0)
        page.get_by_role("combobox", name="Mailbox").select_option("ben")
        page.get_by_role("link", name="For ben").click()
        expect(page.get_by_text("nothing is marked as read")).to_be_visible()
        expect(page.get_by_text("A secret")).to_be_visible()
        opened.accessible()
        opened.look("mail-thread")
        page.get_by_role("button", name="Write a message").click()
        page.get_by_label("to all registered agents").check()
        page.get_by_label("Subject").fill("Freeze")
        page.get_by_role("button", name="Broadcast").click()
        expect(page.get_by_text("Sent message")).to_be_visible()
    assert events(board, "message.read", "message.acknowledged") == [
        ("message.read", "kim"),
        ("message.acknowledged", "kim"),
    ]


def test_an_edit_shows_what_another_one_changed_meanwhile(window: Opened, tmp_path: Path) -> None:
    board = tmp_path / "board"
    with Orchestrator.open(board, agent="ann") as orc:
        orc.knowledge.write("grammar", "# Grammar\n\nOne\n\n[a](b.md) | x\n", tags=["parser"])
    with window(board) as opened, Orchestrator.open(board, agent="ann") as orc:
        page = opened.page
        opened.open("/knowledge/grammar")
        expect(page.get_by_role("heading", name="Grammar", level=2)).to_be_visible()
        page.get_by_role("button", name="Edit").click()
        text = page.get_by_label("Text, in markdown")
        text.fill("Mine")
        orc.knowledge.write("grammar", "# Grammar\n\nTwo\n")
        expect(page.get_by_role("alert").get_by_text("Another one changed")).to_be_visible()
        expect(page.get_by_role("alert").get_by_text("Two")).to_be_visible()
        expect(text).to_have_value("Mine")
        opened.accessible()
        opened.look("knowledge-conflict")
        opened.expect("409")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("changed meanwhile: version 2 is by ann")).to_be_visible()
        assert orc.knowledge.read("grammar") == "# Grammar\n\nTwo\n"
        page.get_by_role("button", name="Go on with mine").click()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Version 3")).to_be_visible()
        assert orc.knowledge.history("grammar")[2].author == "kim"
        page.get_by_role("button", name="History").click()
        page.get_by_role("combobox", name="From version").select_option("1")
        shown = page.get_by_role("region", name="From version 1 to 3")
        expect(shown.locator("del", has_text="One")).to_be_visible()
        expect(shown.locator("ins", has_text="Mine")).to_be_visible()
        opened.accessible()
        opened.look("knowledge-history")
        opened.open("/knowledge?new")
        page.get_by_label("Name").fill("grammar")
        page.get_by_label("Text, in markdown").fill("New")
        page.get_by_role("button", name="Write", exact=True).click()
        expect(page.get_by_text("exists: version 3 is by kim")).to_be_visible()
        page.get_by_label("Name").fill("lexer")
        page.get_by_role("button", name="Write", exact=True).click()
        expect(page.get_by_role("heading", name="lexer", level=1)).to_be_visible()
        page.get_by_label("Search within").fill("Mine")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("navigation").locator("mark", has_text="Mine")).to_be_visible()


def test_decisions_are_recorded_edited_and_superseded(window: Opened, tmp_path: Path) -> None:
    board = tmp_path / "board"
    sample_boards.empty(board)
    with window(board) as opened:
        page = opened.page
        for title in ("Settings are TOML", "Settings are JSON"):
            opened.open("/decisions?new")
            page.get_by_label("Title").fill(title)
            page.get_by_role("button", name="Record", exact=True).click()
            expect(page.get_by_role("heading", name=title, level=2)).to_be_visible()
        opened.open("/decisions/1")
        page.get_by_role("button", name="Edit").click()
        page.get_by_label("Title").fill("Settings are files")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="Settings are files", level=2)).to_be_visible()
        page.get_by_role("button", name="History").click()
        expect(page.locator("ins", has_text="# Settings are files")).to_be_visible()
        page.get_by_role("button", name="Supersede").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("By the newer decision").select_option("2")
        opened.accessible()
        dialog.get_by_role("button", name="Supersede").click()
        expect(page.get_by_role("link", name="decision 2")).to_be_visible()
        opened.look("decision")
    assert {agent for _, agent in events(board, "decision.edited", "decision.superseded")} == {
        "kim"
    }


def test_permissions_are_allowed_and_denied_with_a_reason(window: Opened, tmp_path: Path) -> None:
    board = tmp_path / "board"
    with Orchestrator.open(board, agent="ann") as orc:
        denied = orc.permissions._request("Bash", {"command": "rm -r /\u202e"}, "ann", 600)
        allowed = orc.permissions._request("WebFetch", {"url": "x"}, "ben", 600)
    with window(board) as opened, Orchestrator.open(board, agent="ann") as orc:
        page = opened.page
        opened.open("/permissions")
        first = page.get_by_role("listitem").filter(has_text="asks for Bash")
        expect(first.get_by_text("rm -r /\\u{202e}")).to_be_visible()
        first.get_by_label("Reason of a denial").fill("Ask first.")
        orc.permissions._request("Edit", {"file": "a"}, "cleo", 600)
        expect(page.get_by_role("listitem").filter(has_text="Edit")).to_be_visible()
        expect(first.get_by_label("Reason of a denial")).to_be_focused()
        expect(first.get_by_label("Reason of a denial")).to_have_value("Ask first.")
        first.get_by_role("button", name="Deny").click()
        expect(page.get_by_text("Denied: ann Bash")).to_be_visible()
        second = page.get_by_role("listitem").filter(has_text="asks for WebFetch")
        second.get_by_role("button", name="Allow").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Answered last")).to_be_visible()
        expect(page.get_by_text("Allowed: ben WebFetch")).to_be_visible()
        opened.accessible()
        opened.look("permissions-answered")
        answers = {request.id: request for request in orc.permissions.all()}
        assert (answers[denied.id].status, answers[denied.id].message) == ("denied", "Ask first.")
        assert (answers[allowed.id].status, answers[allowed.id].answered_by) == ("allowed", "kim")


def test_locks_are_requested_released_and_broken(window: Opened, tmp_path: Path) -> None:
    board = tmp_path / "board"
    with Orchestrator.open(board, agent="ann") as orc:
        orc.locks.acquire("git", agent="ann", ttl="9h")
    with window(board) as opened:
        page = opened.page
        opened.open("/locks")
        resource = page.get_by_role("textbox", name="Resource")
        resource.fill("git")
        page.get_by_role("button", name="Request the lock").click()
        expect(page.get_by_text("Lock denied: git")).to_be_visible()
        expect(resource).to_have_value("git")
        resource.fill("docs/**")
        page.keyboard.press("Enter")
        expect(page.get_by_role("row", name="docs/**")).to_be_visible()
        page.get_by_role("button", name="Release: docs/**").click()
        expect(page.get_by_role("row", name="docs/**")).to_have_count(0)
        page.get_by_role("button", name="Break git").click()
        page.get_by_label("Reason").fill("ann is gone")
        page.get_by_role("dialog").get_by_role("button", name="Break the lock").click()
        expect(page.get_by_text("No resource is locked.")).to_be_visible()
    assert events(board, "lock.acquired", "lock.released", "lock.broken") == [
        ("lock.acquired", "ann"),
        ("lock.acquired", "kim"),
        ("lock.released", "kim"),
        ("lock.broken", "kim"),
    ]


def test_agents_are_registered_given_work_renamed_and_retired(
    window: Opened, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    with Orchestrator.open(board, agent="ann") as orc:
        orc.workstreams.create("build")
        task = orc.tasks.add("build", title="Write the parser").id
    with window(board) as opened, Orchestrator.open(board, agent="ann") as orc:
        page = opened.page
        opened.open("/agents")
        page.get_by_role("button", name="Register an agent").click()
        dialog = page.get_by_role("dialog")
        opened.accessible()
        dialog.get_by_label("Name").fill("ben")
        dialog.get_by_label("Tasks that it may have at once").fill("2")
        page.keyboard.press("Enter")
        expect(page.get_by_role("row", name="ben")).to_contain_text("0/2")
        expect(page.get_by_role("button", name="Register an agent")).to_be_focused()
        page.get_by_role("button", name="Give a task: ben").click()
        dialog.get_by_label("Task:").fill(task)
        dialog.get_by_role("button", name="Give it").click()
        expect(page.get_by_role("row", name="ben")).to_contain_text("1/2")
        orc.tasks.claim(task, agent="ben")
        expect(page.get_by_role("row", name="ben").get_by_text("works on")).to_be_visible()
        bar = page.locator(".timeline-bar")
        expect(bar).to_have_attribute("aria-label", re.compile("ben: Write the parser, in progr"))
        page.get_by_role("link", name="ben", exact=True).first.click()
        expect(page.get_by_role("heading", name="What it did last")).to_be_visible()
        page.get_by_role("link", name="All agents").click()
        page.get_by_role("button", name="Rename: ben").click()
        dialog.get_by_label("New name").fill("team/eve")
        page.keyboard.press("Enter")
        page.get_by_role("row", name="team/eve").get_by_role(
            "link", name="team/eve", exact=True
        ).click()
        expect(page.get_by_role("heading", name="Agent team/eve")).to_be_visible()
        opened.accessible()
        opened.look("agent")
        page.get_by_role("button", name="Retire: team/eve").click()
        dialog.get_by_role("button", name="Retire").click()
        expect(page.get_by_role("row", name="team/eve").get_by_text("retired")).to_be_visible()
        assert orc.tasks.get(task).status == "pending"


ATTACKS = {
    "links": "[a](javascript:document.title='run') [b](data:text/html,x) [c](//evil.example/x)"
    " [d](vbscript:x) [e](&#106;avascript:document.title='run') [f](java\tscript:x) <javascript:x>"
    " [g](/api/status) [h](https://example.org/) [i](mailto:a@example.org) [j](/tasks/x) [k](b.md)"
    " ![l](data:image/svg+xml,x) ![m](https://evil.example/i.png) [n]: javascript:x",
    "markup": "<img src=x onerror=\"document.title='run'\">\n\n<script>document.title='run'</script>\n\n"
    "<style>*{display:none}</style> <a href='javascript:x'>a</a> <svg onload=x> <!-- -->\n\n"
    "| <b>x</b> | `<i>` |\n|-|:-:|\n| <iframe src=x> | 1 |\n\n```html\n</code></pre><script>x</script>\n```",
    "quotes": ">" * 20_000,
    "lists": "1. " * 5_000,
    "brackets": "[" * 20_000 + "![" * 5_000,
    "emphasis": "_a__" * 12_000,
    "ticks": "".join("`" * n + "a" for n in range(200)),
    "table": "|a" * 3_000 + "\n" + "|-" * 3_000 + "\n" + "|b" * 3_000,
    "long": "*x* " * 60_000,
    "word": "W" * 3_000,
}
"""Texts in markdown that a careless page would run, fetch, or never finish to show."""


def test_markdown_of_agents_is_text_and_its_links_lead_nowhere_else(
    window: Opened, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    with Orchestrator.open(board, agent="ann") as orc:
        for topic, text in ATTACKS.items():
            orc.knowledge.write(topic, text)
    with window(board) as opened:
        page = opened.page
        for topic in ATTACKS:
            opened.open(f"/knowledge/{topic}")
            expect(page.locator(".markdown")).not_to_be_empty()
            assert page.title() != "run"
            assert (
                page.locator(
                    ".markdown :is(script, style, img, iframe, svg, object, form, [onerror], [onload])"
                ).count()
                == 0
            )
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), topic
            if topic == "links":
                links = page.locator(".markdown a")
                assert links.evaluate_all("all => all.map(a => a.getAttribute('href'))") == [
                    "http://evil.example/x",
                    "https://example.org/",
                    "mailto:a@example.org",
                    "/tasks/x",
                    "https://evil.example/i.png",
                ]
                assert links.first.get_attribute("rel") == "noopener noreferrer"
                expect(page.get_by_text("(data:image/svg+xml,x)")).to_be_visible()
            if topic in ("links", "markup"):
                opened.accessible()
                opened.look(f"markdown-{topic}")
        expect(page.get_by_text("WWW")).to_be_visible()


TO_END = """address => {
    scrollTo(0, document.documentElement.scrollHeight);
    return document.querySelector(`a[href="${address}"]`);
}"""


def test_hundreds_of_agents_and_topics_are_rows_only_near_the_window(
    window: Opened, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    with Orchestrator.open(board, agent="ann") as orc, orc.transaction():
        for number in range(400):
            orc.agents.register(f"agent-{number:03}", type="builder")
            orc.knowledge.write(f"topic-{number:03}", f"Text {number}.")
    with window(board) as opened:
        page = opened.page
        opened.open("/agents")
        rows = page.get_by_role("row")
        expect(page.get_by_role("row", name="agent-000")).to_be_visible()
        assert rows.count() < 200
        page.wait_for_function(TO_END, arg="/agents/agent-399")
        assert rows.count() < 200
        page.get_by_role("searchbox", name="Filter").fill("AGENT-12 builder")
        expect(rows).to_have_count(11)
        opened.look("agents-many")
        opened.open("/knowledge")
        topics = page.locator(".shelf a")
        expect(topics.first).to_have_text("topic-000")
        assert topics.count() < 200
        page.wait_for_function(TO_END, arg="/knowledge/topic-399")
