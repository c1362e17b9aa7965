"""The table of commands: which word means which group, and which module declares it.

Only the modules of the group that a line names are imported.
"""

from orchestrator.interfaces.cli.grammar import Group

WORKSTREAM = Group(
    "workstream", "workstreams", "Streams of work and their priorities.", aliases=("ws",)
)
DEP = Group("dep", "links", "Links between tasks: what waits for what, and what belongs together.")
TASK = Group(
    "task",
    "tasks links",
    "Add, claim, finish and look up tasks.",
    aliases=("t",),
    groups=(DEP,),
)
AGENT = Group(
    "agent", "agents", "Who works on the board. Alone it lists them.", ("a", "agents"), "list"
)
LOCK = Group("lock", "locks", "Keep a resource for a while, alone or shared.", aliases=("l",))
KNOWLEDGE = Group(
    "knowledge", "knowledge", "What agents know: topics in markdown.", aliases=("kb",)
)
MAIL = Group("mail", "mail", "Messages between agents.", aliases=("m",))
HOOK = Group(
    "hook",
    "hooks",
    "What hangs on an agent, through its restarts. Alone it shows mine, with a task it hangs that.",
    default="hang",
)
CONVOY = Group("convoy", "convoys", "Tasks that are followed together.", aliases=("c",))
FORMULA = Group(
    "formula",
    "formulas",
    "Formulas say how a kind of work is done; poured, they are workflows.",
    aliases=("f",),
)
SESSION = Group("session", "sessions", "Each start of an agent, and what it left for the next.")
EVENTS = Group(
    "events",
    "events",
    "What happened. Alone, or with options, it lists events.",
    aliases=("e",),
    default="list",
)
RUNNER = Group("runner", "runner", "Plan a cycle, brief its tasks, collect what was done.")
IMPORT = Group(
    "import",
    "imports",
    "Take over a whole board, or tasks of beads and Backlog.md. Alone, with a file, it reads an export.",
    default="file",
)
EXPORT = Group(
    "export",
    "exports",
    "Write the whole board, or tasks for beads and Backlog.md. Alone it writes the board.",
    default="file",
)

BOARD = Group(
    "orc",
    "board hooks sessions numbers",
    "A board that any number of agents share: workstreams, tasks, locks, knowledge, and a log"
    " of all that happened.",
    groups=(
        WORKSTREAM,
        TASK,
        AGENT,
        HOOK,
        MAIL,
        CONVOY,
        FORMULA,
        SESSION,
        LOCK,
        KNOWLEDGE,
        EVENTS,
        RUNNER,
        IMPORT,
        EXPORT,
    ),
)
"""The top of the command line; its own commands are those of the whole board."""
