#!/usr/bin/env python3
"""The cycle runner of a checkout: ``python runner.py plan``. Installed, it is ``orc runner``."""

import cli
from orchestrator.interfaces.cli.commands import RUNNER

if __name__ == "__main__":
    cli.process(prog=cli.called("runner.py"), top=RUNNER, checkout=cli.CHECKOUT)
