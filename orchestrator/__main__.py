"""``python PATH/orchestrator``: the command line, as processes of the toolkit start it, installed or not."""

import os
import sys

if not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from orchestrator.interfaces.cli.main import console

if __name__ == "__main__":
    console()
