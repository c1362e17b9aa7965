"""Runs when any Python starts with this folder in ``PYTHONPATH``: emulates the system in ``ORC_TEST_SYSTEM``.

The suite then runs as on that system, in its own process and in all started processes:
``ORC_TEST_SYSTEM=windows PYTHONPATH=tests/systems python -m pytest``.
"""

import os
import sys


class _BeforeThePackage:
    """Emulates right before the import of the package, so that other programs start without delay."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        if name == "orchestrator":
            sys.meta_path.remove(cls)
            from emulation import emulate

            emulate(os.environ["ORC_TEST_SYSTEM"])


if os.environ.get("ORC_TEST_SYSTEM"):
    sys.meta_path.insert(0, _BeforeThePackage)
