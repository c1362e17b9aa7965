"""The entry of the command line: reads a line, runs its command, shows the answer or the error."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from orchestrator.core.errors import SHOWN_PROBLEMS, InputOutputError, OrchestratorError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.completion import VARIABLE
from orchestrator.interfaces.cli.grammar import Call, Group
from orchestrator.interfaces.cli.reader import read
from orchestrator.interfaces.cli.rendering import Answer, to_json, write
from orchestrator.interfaces.cli.run import Run, warn

INTERRUPTED = 130


def main(
    argv: Sequence[str] | None = None,
    *,
    prog: str = "orc",
    top: Group = BOARD,
    checkout: str | None = None,
) -> int:
    """Run one command line and give its exit status.

    Args:
        argv: The words after the program's name; those of the process by default.
        prog: How the program is called, for help and examples.
        top: The commands that there are.
        checkout: The board of last resort: the checkout that the program is run from.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        call = None if VARIABLE in os.environ else read(top, words)
        if call is None:
            from orchestrator.interfaces.cli.click_app import parse

            parsed = parse(top, words, prog)
            if isinstance(parsed, int):
                return parsed
            call = parsed
        return execute(call, prog, checkout)
    except OrchestratorError as error:
        return report(error, as_json=_wants_json(words))
    except BrokenPipeError:  # whoever read what a command prints piece by piece went away
        return 0
    except OSError as error:
        return report(_unexpected(error), as_json=_wants_json(words))
    except KeyboardInterrupt:
        return INTERRUPTED


def process(**settings: Any) -> NoReturn:
    """Be the whole process: run :func:`main` with these settings and end with its exit status."""
    # A process of one command ends before collecting pays; what it made goes with it.
    gc.disable()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        status: Any = main(**settings)
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = INTERRUPTED
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):
            stream.flush()
    # Nothing is left to do, and to take every module apart costs 8 of the 60 ms of `task next`.
    os._exit(status or 0)


def console() -> None:
    """The program ``orc`` of an installed toolkit."""
    process()


def _terminated(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def execute(call: Call, prog: str, checkout: str | None = None) -> int:
    """Run a command, show what it answers, and give the exit status."""
    run = Run(call.settings, prog, checkout)
    try:
        answer: Answer | None = call.command.function(run, **call.values)
        if answer is None:
            return 0
        data = render(answer, as_json=call.settings.json)
        if _show(data, answer, lossy=not call.command.reads) and answer.after is not None:
            _follow(answer.after)
    finally:
        run.close()
    return answer.exit_status


def render(answer: Answer, *, as_json: bool) -> bytes:
    """What is printed for an answer."""
    if as_json:
        return to_json(answer.value)
    text = answer.text()
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return (text + "\n" if text else "").encode(encoding, "backslashreplace")


def _show(data: bytes, answer: Answer, *, lossy: bool) -> bool:
    """Print; whether everything was written out.

    A reader that went away is no failure. What was committed stays true when it cannot be shown
    (``lossy``); a query that cannot be shown has failed.
    """
    try:
        return write(data)
    except BrokenPipeError:
        return False
    except OSError as error:
        if not lossy:
            raise
        done = "it is done, but " if answer.after is None else ""
        warn(f"{done}the answer could not be written: {error.strerror}")
        return False


def _follow(after: Callable[[], object]) -> None:
    """Do what follows from an answer that was written out; it stands, whatever fails now."""
    try:
        after()
    except OrchestratorError as error:
        warn(f"the answer stands, but what follows from it failed: {error.message}")
    except OSError as error:
        warn(f"the answer stands, but what follows from it failed: {error.strerror}")


def report(error: OrchestratorError, *, as_json: bool) -> int:
    """Say on stderr what went wrong, and give the exit status."""
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
        text = f"Error: {escape(error.message)}\n"
        text += "".join(f"  {escape(problem)}\n" for problem in _unsaid(error))
        text += f"Hint: {escape(error.hint)}\n" if error.hint else ""
    with suppress(OSError):  # the status says the rest to whoever does not read
        sys.stderr.write(text)
        sys.stderr.flush()
    return error.exit_status


def _unsaid(error: OrchestratorError) -> list[str]:
    """The problems with a file that the message does not name."""
    problems = error.details.get("problems")
    return problems[SHOWN_PROBLEMS:] if isinstance(problems, list) else []


def _wants_json(words: Sequence[str]) -> bool:
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _unexpected(error: OSError) -> InputOutputError:
    where = f" ({error.filename!a})" if error.filename else ""
    return InputOutputError(f"The operating system refused: {error.strerror or error}{where}")
