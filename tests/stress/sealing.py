"""The command line on a store that seals small segments: ``python -m tests.stress.sealing SIZE WORDS``."""

import sys

from orchestrator.interfaces.cli.main import process
from orchestrator.stores.files import FileStore


def seal_at(size: int) -> None:
    """Let every store of this process seal its segments at so many bytes."""
    defaults = FileStore.__init__.__kwdefaults__
    assert defaults is not None
    defaults["segment_size"] = size


if __name__ == "__main__":
    seal_at(int(sys.argv.pop(1)))
    process(prog="orc")
