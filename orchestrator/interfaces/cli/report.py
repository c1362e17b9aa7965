"""``orc report``: what was done, how the work flows, and when the rest will be done."""

import os
import tempfile

from orchestrator.core.errors import InputOutputError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.layout import is_terminal
from orchestrator.interfaces.cli.parameters import IN_WORKSTREAM, flag, option
from orchestrator.interfaces.cli.rendering import Answer, say, to_json
from orchestrator.interfaces.cli.run import Run
