#!/usr/bin/env python3
"""The command line of a checkout: ``python cli.py status``. Installed, it is ``orc``."""

import os
import sys

from orchestrator.interfaces.cli.main import main

if __name__ == "__main__":
    sys.exit(main(prog="python cli.py", checkout=os.path.dirname(os.path.abspath(__file__))))
