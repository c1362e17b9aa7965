"""The entry of the command line: runs the command of a line, or reports the error."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any, NoReturn

import click

from orchestrator.core.errors import InputOutputError, OrchestratorError, UsageError
from orchestrator.interfaces.cli.commands import BOARD, BUSYTOWN, COMPLETE
from orchestrator.interfaces.cli.groups import Command, Group
from orchestrator.interfaces.cli.rendering import error_text, to_json
from orchestrator.interfaces.cli.run import Run

INTERRUPTED = 130


def main(
    argv: Sequence[str] | None = None,
    *,
    prog: str = "orc",
    top: Group = BOARD,
    checkout: str | None = None,
    owns_process: bool = False,
) -> int:
    """Run a command line and return its exit status.

    Args:
        argv: The words after the program's name; those of the process by default.
        prog: How the program is called, for help and examples.
        top: The group of all commands.
        checkout: The board if no other is found: the checkout that contains the program.
        owns_process: The process ends with the command.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    run = Run(prog, checkout, run_hook=_run_hook, owns_process=owns_process)
    try:
        with closing(run):
            return _run(top, words, run, prog)
    except BrokenPipeError:  # the reader of a stream went away
        return 0
    except (OrchestratorError, OSError) as error:
        ours = _as_ours(error)
        ours.hint = _runnable(ours.hint, top, run.prog)
        return report(ours, as_json=_wants_json(words))
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(top: Group, words: Sequence[str], run: Run, prog: str) -> int:
    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(top, {"obj": run}, prog, COMPLETE, instruction)
    try:
        with top.make_context(prog, list(words), obj=run) as context:
            status: int = top.invoke(context)
            return status
    except click.exceptions.Exit as end:  # help or the version was printed
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return UsageError.exit_status
    except click.ClickException as error:
        raise run.leading.refusal(error, prog) from None
    except OrchestratorError as error:
        if error.code in _LED and run.context is not None:
            error.hint = run.leading.workstream_meant(error, run.context)
        raise


_LED = ("workstream_not_found", "agent_needed")
"""Codes of errors whose word for a workstream perhaps has another meaning."""


def _run_hook(run: Run, command: Command, values: dict[str, Any], client: str) -> int:
    from orchestrator.interfaces.cli.client_hooks import run_hook  # loads more than most commands

    return run_hook(run, command, values, client)


def process(**settings: Any) -> NoReturn:
    """Run :func:`main` with these settings, and end the process with its exit status."""
    # One command ends before garbage collection would pay.
    gc.disable()
    signal.signal(signal.SIGTERM, _terminated)
    sys.unraisablehook = _interrupt_again
    try:
        status: Any = main(**settings, owns_process=True)
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = INTERRUPTED
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):
            stream.flush()
    # The teardown of all modules would cost 8 of the 60 ms of `task next`.
    os._exit(status or 0)


def console() -> None:
    """The program ``orc`` of an installed toolkit."""
    process()


def busytown() -> None:
    """The program ``busytown`` of an installed toolkit."""
    process(prog="busytown", top=BUSYTOWN)


def _terminated(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _interrupt_again(discarded: Any) -> None:
    """Repeat an interrupt that came in a finalizer, where Python discards exceptions."""
    if not isinstance(discarded.exc_value, SystemExit | KeyboardInterrupt):
        sys.__unraisablehook__(discarded)
        return
    import threading
    import time

    from orchestrator.core.system import interrupt

    number = signal.SIGINT if isinstance(discarded.exc_value, KeyboardInterrupt) else signal.SIGTERM
    is_started = threading.Event()

    def repeat() -> None:
        # Inside the hook the exception would be discarded again; the start of a thread can take long.
        is_started.wait()
        time.sleep(0.01)
        interrupt(number)

    threading.Thread(target=repeat, daemon=True).start()
    is_started.set()


def report(error: OrchestratorError, *, as_json: bool) -> int:
    """Write the error on stderr, and return the exit status."""
    if sys.stderr is None:
        return error.exit_status
    if as_json:
        document = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "retryable": error.retryable,
            **error.details,
        }
        text = to_json({"error": document}).decode()
    else:
        text = error_text(error)
    with suppress(OSError):  # then only the exit status reports the error
        sys.stderr.write(text)
        sys.stderr.flush()
    return error.exit_status


def _as_ours(error: OrchestratorError | OSError) -> OrchestratorError:
    """The error, or for an error of the system one that has an exit status."""
    if isinstance(error, OrchestratorError):
        return error
    where = f" ({error.filename!a})" if error.filename else ""
    return InputOutputError(f"The operating system refused: {error.strerror or error}{where}")


def _runnable(hint: str, top: Group, prog: str) -> str:
    """The hint with the program before each command: the domain does not know its name."""
    import re

    return re.sub(
        r"`([a-z]+)(?=[ `])(?! =)",
        lambda match: f"`{prog} {match[1]}" if match[1] in top.words else match[0],
        hint,
    )


def _wants_json(words: Sequence[str]) -> bool:
    options = words[: words.index("--")] if "--" in words else words
    return any(word in ("--json", "--fields") or word.startswith("--fields=") for word in options)
