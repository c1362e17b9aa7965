"""The entry of the command line: reads the line, runs the command, shows the answer or the error."""

import gc
import os
import sys
from collections.abc import Sequence

from orchestrator.core.errors import InputOutputError, OrchestratorError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import BOARD, RUNNER
from orchestrator.interfaces.cli.grammar import Call, Group
from orchestrator.interfaces.cli.reader import read
from orchestrator.interfaces.cli.rendering import Answer, to_json
from orchestrator.interfaces.cli.run import Run, warn

COMPLETION = "_ORC_COMPLETE"
"""The variable by which a shell asks for completions."""

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
    # A process of one command ends before collecting pays; what it made goes with it.
    gc.disable()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        call = None if COMPLETION in os.environ else read(top, words)
        if call is None:
            from orchestrator.interfaces.cli.click_app import parse

            parsed = parse(top, words, prog, COMPLETION)
            if isinstance(parsed, int):
                return parsed
            call = parsed
        return execute(call, checkout)
    except OrchestratorError as error:
        return report(error, as_json=_wants_json(words))
    except OSError as error:
        return report(_unexpected(error), as_json=_wants_json(words))
    except KeyboardInterrupt:
        return INTERRUPTED


def runner_main(argv: Sequence[str] | None = None, *, checkout: str | None = None) -> int:
    """As :func:`main`, with the commands of the cycle runner only."""
    return main(argv, prog="runner.py", top=RUNNER, checkout=checkout)


def execute(call: Call, checkout: str | None = None) -> int:
    """Run a command, show what it answers, and give the exit status."""
    run = Run(call.settings, checkout)
    try:
        answer = call.command.function(run, **call.values)
        if answer is None:
            return 0
        data = render(answer, as_json=call.settings.json)
    finally:
        run.close()
    return _show(data, answer.exit_status, lossy=not call.command.reads)


def render(answer: Answer, *, as_json: bool) -> bytes:
    """What is printed for an answer."""
    if as_json:
        return to_json(answer.value)
    text = answer.text()
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return (text + "\n" if text else "").encode(encoding, "backslashreplace")


def _show(data: bytes, exit_status: int, *, lossy: bool) -> int:
    """Print, and give the exit status.

    A reader that went away is no failure. What was committed stays true when it cannot be shown
    (``lossy``); a query that cannot be shown has failed.
    """
    try:
        write(data)
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if not lossy:
            raise
        warn(f"it is done, but the answer could not be written: {error.strerror}")
    return exit_status


def write(data: bytes) -> None:
    """Write to stdout at once; a process without one has nobody to tell."""
    if sys.stdout is not None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


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
        text += f"Hint: {escape(error.hint)}\n" if error.hint else ""
    print(text, end="", file=sys.stderr)
    return error.exit_status


def _wants_json(words: Sequence[str]) -> bool:
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _unexpected(error: OSError) -> InputOutputError:
    where = f" ({ascii(error.filename)})" if error.filename else ""
    return InputOutputError(f"The operating system refused: {error.strerror or error}{where}")
