"""Words of bd, gh, Backlog.md and taskwarrior, and their meaning here.

The parser, the suggestions and ``orc help habits`` read these tables. They are not loaded for a correct line.
Words of the same meaning share a key.
"""

from orchestrator.domain.tasks.fact_values import STATUS_WORDS

COMMANDS = {
    "create new": "add create register send",
    "add": "create register append",
    "update modify set": "edit write",
    "get view cat": "show read status",
    "show": "read status",
    "start take begin": "claim acquire",
    "close finish resolve": "complete close done",
    "comment": "note append",
    "unclaim drop": "release",
    "ls list": "inbox list ls",
    "rm remove": "delete",
    "send": "say",
}
"""Words for a command, with their meanings; the first one that the group has counts."""

ELSEWHERE = {
    "list": "ls",
    "tasks": "ls",
    "locks": "lock list",
    "inbox": "mail inbox",
    "history": "log",
    "info": "status",
    "find": "search",
}
"""Words at the top that mean a command of a group."""

OPTIONS = {
    "-p": "--priority",
    "-d --desc --notes": "--description",
    "-l --tag --tags": "--labels --tags",
    "-s": "--status --subject",
    "-n --limit --tail": "--limit --last --max",
    "-b --body": "--message --description",
    "-m --message": "--message --result --reason --comment --text",
    "--deps --depends-on --blocked-by": "--needs",
    "--acceptance-criteria --ac": "--acceptance",
    "--workstream --project -w": "--ws",
    "--as --actor": "--agent",
}
"""Options, with their meanings; the first one that the command has counts."""

FILTERS = {"--assignee --owner": "--agent"}
"""Options of listings; elsewhere ``--agent`` is who acts."""

PLACES = {"ws": "workstream", "project": "workstream", "issue": "task", "id": "task"}
"""Options for positional parameters: ``mail send --to ann`` is ``mail send ann``."""

VALUES = {**STATUS_WORDS, "closed": "done", "medium": "normal", "critical": "urgent"}
"""Words for a value of a closed set, such as a status."""

COMMANDS_MEANT = {
    "config": "help options",
    "delete": "task delete",
    "move": "task move",
    "label": "task label",
    "assign": "sling",
    "task assign": "sling",
    "task search": "search --in task",
    "task history": "timeline",
    "task log": "timeline",
    "task depend": "task dep add",
    "agent show": "whoami",
    "merge queue": "merge list",
    "merge status": "merge list",
    "patrol list": "patrol explain",
    "patrol status": "patrol explain",
    "duplicates": "similar",
    "find-duplicates": "similar",
}
"""Commands with another name and a slightly different effect here: they are named, and nothing is run."""

OPTIONS_MEANT = {
    "task edit --status": "task complete {words}",
    "task edit --status in_progress": "task claim {words}",
    "task edit --status failed": "task fail {words}",
    "task edit --status blocked": "task block {words} REASON",
    "task edit --status cancelled": "task cancel {words}",
    "task edit --status pending": "task release {words}",
    "task edit --status open": "task reopen {words}",
    "task edit --assignee": "sling {words} {value}",
    "task edit --claim": "task claim {words}",
    "task edit --note": "task note {words} {value}",
    "task add --claim": "task claim ID",
    "task add --assignee": "sling ID {value}",
    "add --claim": "task claim ID",
    "add --assignee": "sling ID {value}",
    "task ready --claim": "next {words}",
}
"""Options, alone or with a value, and the equivalent line here."""


MISSING_MEANT = {
    "task defer": '`t defer ID 3d` puts it off, `t defer ID ""` ends that.',
    "mail list": "`mail inbox` lists your mail, `mail lists` the mailing lists.",
}
"""Commands that need more words here than in other tools, and the probable meaning of the shorter line."""


EXTRA_MEANT = {"log": "events log", "events list": "events log"}
"""Commands that list, and the commands that record the words after them."""


def spread(table: dict[str, str]) -> dict[str, str]:
    """A table with a row for each word of a key."""
    return {word: meant for words, meant in table.items() for word in words.split()}
