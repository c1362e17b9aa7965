#!/usr/bin/env python3
"""The command line of a checkout: ``python cli.py status``. Installed, it is ``orc``."""

import gc
import os
import sys

CHECKOUT = os.path.dirname(os.path.abspath(__file__))

if __name__ == "__main__":
    gc.disable()  # as `process` does, but before the imports: a twentieth of `task next` was collecting there

try:
    from orchestrator.interfaces.cli.main import process as process
except ModuleNotFoundError as error:
    sys.exit(
        f"Error: this Python has no module {error.name!r}: run `make demo` or `make test` once and then "
        "`.venv/bin/python cli.py`, or install with `python3 -m venv .venv && "
        ".venv/bin/pip install -e .`."
    )


def called(script: str) -> str:
    """How a script is called from here: ``python cli.py`` in the checkout, else by the typed path."""
    path = script if os.getcwd() == CHECKOUT else sys.argv[0]
    return f'python "{path}"' if " " in path else f"python {path}"


if __name__ == "__main__":
    process(prog=called("cli.py"), checkout=CHECKOUT)
