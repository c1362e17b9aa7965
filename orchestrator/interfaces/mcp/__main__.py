"""``python -P -m orchestrator.interfaces.mcp``: ``orc mcp``, where the folder of programs is not known."""

import sys

from orchestrator.interfaces.cli.main import process

process(argv=["mcp", *sys.argv[1:]])
