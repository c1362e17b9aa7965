"""The table of commands: the names of groups and commands, and the module of each command.

Only the module of the named command is imported. ``list/ls`` is the command ``list``, in short ``ls``.
A verb at the top is the command of a group: ``orc claim`` is ``orc task claim``.
"""

from orchestrator.interfaces.cli.groups import VERSION, Group

COMPLETE = "_ORC_COMPLETE"
"""The variable that a shell sets to ask for completions."""

VIEW = Group(
    "board",
    "The tasks in columns, and the merge of two boards. Without a command: show the tasks.",
    {"task_board": "show", "board_merge": "merge"},
    default="show",
    otherwise="show",
)
WORKSTREAM = Group(
    "workstream/ws",
    "Streams of work and their priorities.",
    {"workstreams": "create list/ls show edit close reopen"},
    default="list",
)
DEP = Group(
    "dep",
    "Links between tasks: what waits for what, and what belongs together.",
    {"links": "add remove/rm tree"},
)
LABEL = Group(
    "label",
    "Labels of tasks. Without a command: list them with their counts.",
    {"several_tasks": "add remove/rm list/ls"},
    default="list",
)
TASK = Group(
    "task/t",
    "Add, claim, finish and look up tasks.",
    {
        "task_editing": "add batch edit note",
        "next_work": "claim next review",
        "task_work": "renew complete/done approve reject trust fail release block unblock"
        " cancel reopen archive",
        "task_listing": "list/ls",
        "task_pages": "show",
        "questions": "lint",
        "several_tasks": "move delete",
        "links": "ready blocked stale defer signal graph duplicate supersede",
    },
    groups=(DEP, LABEL),
    default="list",
)
TEMPLATE = Group(
    "template",
    "Agent files that come with the toolkit. Without a command: list them.",
    {"agent_templates": "list/ls add"},
    default="list",
    local=True,
)
AGENT = Group(
    "agent/a/agents",
    "Agents on the board. Without a command: list them.",
    {"agents": "register rename list/ls heartbeat whoami work retire"},
    groups=(TEMPLATE,),
    default="list",
)
LOCK = Group(
    "lock/l",
    "Locks on resources, alone or shared. With a resource: acquire it.",
    {"locks": "acquire renew release list/ls break"},
    default="list",
    otherwise="acquire",
)
KNOWLEDGE = Group(
    "knowledge/kb",
    "The knowledge base: topics in markdown.",
    {"knowledge": "write append read list/ls search history delete sync"},
    default="list",
)
DECISION = Group(
    "decision",
    "Decisions: what was decided, why, by whom, for which task.",
    {"decisions": "add list/ls show edit history supersede"},
    default="list",
)
WORKTREE = Group(
    "worktree/wt",
    "A branch and a worktree of git for each task. Without a command: list them.",
    {"worktrees": "add list/ls show path remove/rm prune trust"},
    default="list",
)
GOAL = Group(
    "goal",
    "Dates with tasks that should have ended by then: progress, slip, earlier dates.",
    {"goals": "create add remove/rm edit reach drop reopen list/ls show"},
    default="list",
)
QUEUE = Group(
    "queue",
    "Queues of messages, each for one agent. Without a command: list them.",
    {"mailboxes": "list/ls release"},
    default="list",
)
MAIL = Group(
    "mail/m",
    "Messages between agents.",
    {
        "mail": "send broadcast reply check inbox/i read/r thread ack search take list lists",
        "mailboxes": "unread archive delete dnd",
        "mail_delivery": "deliver",
    },
    groups=(QUEUE,),
    default="inbox",
)
HOOK = Group(
    "hook",
    "The task on an agent's hook, kept through restarts. Without a command: show mine; with a task: hang it.",
    {"hooks": "hang show"},
    default="hang",
    otherwise="hang",
)
CONVOY = Group(
    "convoy/c",
    "Tasks that are followed together.",
    {"convoys": "create add remove/rm start cancel land list/ls status/show"},
    default="list",
)
MERGE = Group(
    "merge",
    "The merge queue: branches that wait to be merged. Without a command: list them.",
    {"merges": "submit list/ls show retry reject withdraw", "merge_runner": "run trust"},
    default="list",
)
FORMULA = Group(
    "formula/f",
    "Formulas: files that describe a kind of work. A poured formula is a workflow.",
    {
        "formulas": "list/ls show validate cook distill",
        "workflows": "pour wisp bond current progress squash burn",
    },
    default="list",
)
SESSION = Group(
    "session",
    "Starts of agents, and their notes for the next session.",
    {"sessions": "start show end"},
    default="show",
)
EVENTS = Group(
    "events/e",
    "Events, and the queue that starts agents. Without a command: list them.",
    {
        "events": "list/ls log archive",
        "agent_files": "map",
        "event_queue": "push watch cursor set-cursor claim check-claim dead retry dismiss",
    },
    default="list",
    otherwise="list",
)
PERMISSION = Group(
    "permission",
    "What agents ask before they use a tool, and the rules that answer. Without a command: list what waits.",
    {"permissions": "list/ls show allow deny rules"},
    default="list",
)
NOTIFY = Group(
    "notify",
    "Notices for people: on a desktop, by a webhook, by mail or through a program. Without a command: list"
    " the rules.",
    {"notices": "add list/ls show remove/rm test run"},
    default="list",
    local=True,
)
GUARD = Group(
    "guard",
    "Refuse commits and edits of files that another agent works on.",
    {"guard": "check install link"},
    default="check",
    otherwise="check",
    local=True,
)
MCP = Group(
    "mcp",
    "The board as tools of an agent, over the Model Context Protocol. Without a command: serve it.",
    {"mcp_server": "serve tools"},
    default="serve",
    local=True,
)
RUNNER = Group(
    "runner",
    "Start agents on events; plan a cycle, brief its tasks, collect what was done.",
    {
        "event_runner": "run start stop restart status",
        "runner_logs": "logs",
        "runner_setup": "check install",
        "runner": "plan/p brief/b collect/c",
    },
)
PATROL = Group(
    "patrol",
    "Find work without progress: nudge, escalate, give back. Without a command: look once.",
    {"patrol": "run explain"},
    default="run",
)
TERMINAL = Group(
    "terminal",
    "Agents in windows of tmux. Without a command: list them.",
    {"terminals": "spawn list/ls peek nudge attach stop reap"},
    default="list",
    local=True,
)
IMPORT = Group(
    "import",
    "Import a whole board, or tasks of beads and Backlog.md. With a file: read an export.",
    {"imports": "file opspawn beads backlog"},
    default="file",
    otherwise="file",
    local=True,
)
EXPORT = Group(
    "export",
    "Write the whole board, or tasks for beads and Backlog.md. Without a command: write the board.",
    {"exports": "file beads backlog"},
    default="file",
    otherwise="file",
    local=True,
)
INDEX = Group(
    "index",
    "An SQLite index of the board, which `query` asks; it can be dropped at any time.",
    {"index": "build status drop verify metadata"},
    default="status",
    local=True,
)

SAVED = Group(
    "saved",
    "Saved questions in `config.toml`. With a name: ask one.",
    {"saved": "add ask list/ls remove/rm"},
    default="list",
    otherwise="ask",
)

_VERBS = {
    "show": (TASK, "show"),
    "ready": (TASK, "ready"),
    "claim": (TASK, "claim"),
    "review": (TASK, "review"),
    "approve": (TASK, "approve"),
    "reject": (TASK, "reject"),
    "fail": (TASK, "fail"),
    "note": (TASK, "note"),
    "release": (TASK, "release"),
    "unlock": (LOCK, "release"),
    "say": (MAIL, "send"),
    "plan": (RUNNER, "plan"),
    "brief": (RUNNER, "brief"),
    "collect": (RUNNER, "collect"),
    "whoami": (AGENT, "whoami"),
}

BOARD = Group(
    "orc",
    "A board that any number of agents share: workstreams, tasks, locks, knowledge, and a log"
    " of all that happened.",
    {
        "task_editing": "add",
        "next_work": "next",
        "board": "status/s init copy doctor completion version",
        "hooks": "sling unsling dispatch",
        "sessions": "prime handoff done escalate",
        "reports": "stats metrics",
        "report": "report",
        "events": "log",
        "agent_files": "trust",
        "team_request": "request",
        "query": "query",
        "search": "search",
        "task_listing": "ls",
        "dashboard": "dashboard",
        "questions": "similar timeline orphans",
        "setup": "setup onboard",
        "web_server": "serve",
        "help": "help",
    },
    groups=(
        VIEW,
        WORKSTREAM,
        TASK,
        AGENT,
        HOOK,
        MAIL,
        CONVOY,
        MERGE,
        FORMULA,
        SESSION,
        LOCK,
        KNOWLEDGE,
        DECISION,
        GOAL,
        WORKTREE,
        EVENTS,
        SAVED,
        GUARD,
        RUNNER,
        PATROL,
        TERMINAL,
        PERMISSION,
        NOTIFY,
        MCP,
        IMPORT,
        EXPORT,
        INDEX,
    ),
    verbs=_VERBS,
)
"""The top of the command line; its own commands concern the whole board."""

BUSYTOWN = Group(
    "busytown",
    "The event queue of the board under the name that scripts and agents made for busytown call.",
    {"busytown": "plan"},
    groups=(EVENTS,),
)
"""The top of the command line ``busytown``."""

for program in (BOARD, RUNNER, BUSYTOWN):
    program.params.append(VERSION)
