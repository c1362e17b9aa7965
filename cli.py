#!/usr/bin/env python3
"""The command line of a checkout: ``python cli.py status``. Installed, it is ``orc``."""

import os

from orchestrator.interfaces.cli.main import process

if __name__ == "__main__":
    process(prog="python cli.py", checkout=os.path.dirname(os.path.abspath(__file__)))
