"""``orc mail deliver``: tell an agent in a terminal about its mail, as it comes."""

from orchestrator.core import clock
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MAIL
from orchestrator.interfaces.cli.parameters import option
from orchestrator.interfaces.cli.rendering import Answer, say, warn
from orchestrator.interfaces.cli.run import Run


@MAIL.command("deliver", example="deliver --pane %3 --program codex --agent codex", local=True)
@option("--pane", "The pane of tmux: %3, work:1.0.", types.NAME, required=True)
@option(
    "--program",
    "The program of the agent; nothing is typed into another.",
    types.NAME,
    required=True,
)
@option("--poll", "Look so often, where the file system reports no changes.", types.DURATION)
def deliver(run: Run, pane: str, program: str, poll: str | None) -> "Answer[dict[str, str]]":
    """Type a line for an agent in a pane of tmux when it has new mail, until the pane is gone.

    The line names the message, not its text. It waits while a person types there.
    """
    from orchestrator.delivery.loop import deliver as deliver_mail
    from orchestrator.delivery.terminal import Pane
    from orchestrator.delivery.triggers import Poll, Watch

    terminal = Pane(pane, program)
    terminal.is_free()  # it is there
    with run.lasting() as orc:
        owner = orc.mail.owner
        desk = orc.engine
        trigger = Watch(desk) if poll is None else Poll(desk, clock.duration(poll))
        deliver_mail(
            orc, lambda: owner, trigger, terminal, warn=warn, until=lambda: terminal.is_gone
        )
    return say({"agent": owner, "pane": pane}, f"The pane {escape(pane)} is gone")
