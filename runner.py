#!/usr/bin/env python3
"""The cycle runner of a checkout: ``python runner.py plan``. Installed, it is ``orc runner``."""

import os

from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.main import process

if __name__ == "__main__":
    process(
        prog="python runner.py", top=RUNNER, checkout=os.path.dirname(os.path.abspath(__file__))
    )
