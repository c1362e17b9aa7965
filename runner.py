#!/usr/bin/env python3
"""The cycle runner of a checkout: ``python runner.py plan``. Installed, it is ``orc runner``."""

import os
import sys

from orchestrator.interfaces.cli.main import runner_main

if __name__ == "__main__":
    sys.exit(runner_main(checkout=os.path.dirname(os.path.abspath(__file__))))
