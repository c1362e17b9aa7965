"""``orc help``: the page of the day, of a command, or of a topic."""

import click

from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import ALL, Group
from orchestrator.interfaces.cli.help_topics import TOPICS, topic
from orchestrator.interfaces.cli.parameters import argument, flag
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run


@BOARD.command("help", example="help time", reads=True)
@argument(
    "[topic...]",
    f"A command, or {', '.join(TOPICS)}.",
    types.Type("TOPIC", words=TOPICS),
)
@flag("--all", "Also what is rarely needed.")
def help_(run: Run, topic: tuple[str, ...], all: bool) -> Answer:
    """Show the commands of a day, or what a command or topic is about."""
    text = _text(run, topic, everything=all)
    return say({"topic": " ".join(topic), "text": text}, text)


def _text(run: Run, words: tuple[str, ...], *, everything: bool) -> str:
    if words and words[0] in TOPICS:
        return topic(words[0])
    assert run.context is not None
    context = run.context.find_root()
    if everything:
        context.meta[ALL] = True
    for word in words:
        group = context.command
        if not isinstance(group, Group):
            break
        if near := did_you_mean(word, TOPICS) if group.get_command(context, word) is None else "":
            raise UsageError(f"There is no topic {word!a}{near}", hint="`orc help` names them.")
        _, command, _ = group.resolve_command(context, [word])
        assert command is not None
        context = click.Context(command, info_name=word, parent=context)
    return context.get_help()
