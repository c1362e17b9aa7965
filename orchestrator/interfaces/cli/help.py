"""``orc help``: the page of the day, of a command, or of a topic."""

import click

from orchestrator.core.errors import UsageError, nearest_word
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import ALL, Group
from orchestrator.interfaces.cli.help_topics import LIST, TOPICS, topic
from orchestrator.interfaces.cli.parameters import argument, flag
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run


@BOARD.command("help", example="help time", reads=True, local=True)
@argument(
    "[topic...]", f"A command, or {', '.join(TOPICS)}.", types.Type("TOPIC", words=(*TOPICS, LIST))
)
@flag("--all", "Also what is rarely needed.")
def help_(run: Run, topic: tuple[str, ...], all: bool) -> "Answer[dict[str, str]]":
    """Show the commands of a day, or explain a command or topic."""
    text = _text(run, topic, everything=all)
    return say({"topic": " ".join(topic), "text": text}, text)


def _text(run: Run, words: tuple[str, ...], *, everything: bool) -> str:
    if words and words[0] in (*TOPICS, LIST):
        return topic(words[0])
    assert run.context is not None
    context = run.context.find_root()
    if everything:
        context.meta[ALL] = True
    for word in words:
        group = context.command
        if not isinstance(group, Group):
            break
        try:
            _, command, _ = group.resolve_command(context, [word])
        except UsageError:
            raise _unknown(group, word) from None
        assert command is not None
        context = click.Context(command, info_name=word, parent=context)
    return context.get_help()


_NEAR = 0.8
"""The similarity above which a word is suggested; a wrong suggestion would mislead."""


def _unknown(group: Group, word: str) -> UsageError:
    is_top = group is BOARD
    known = [*group.words, *group.verbs, *((*TOPICS, LIST) if is_top else ())]
    near = nearest_word(word, known, _NEAR)
    text = f"There is no command{' and no topic' if is_top else ''} {word!a}"
    of = "" if is_top else f" {group.name}"
    hint = f"`help{of}` names what there is."
    return UsageError(f"{text}; did you mean {near!a}?" if near else text, hint=hint)
