"""Wait in a thread of its own until the log of a board has grown; other threads work meanwhile."""

import queue
import threading
import time
from collections.abc import Callable

from orchestrator.core.errors import OrchestratorError

_STEP = 5.0  # seconds after which the thread that waits looks whether it is to end
_TROUBLE = 5.0  # seconds until the log counts as grown when it cannot be watched


class LogWatch:
    """Calls a function each time the log has grown after it was asked to wait.

    Args:
        grown: Called in the thread of the watch.
    """

    def __init__(self, grown: Callable[[], object]) -> None:
        self._grown = grown
        self._waits: queue.SimpleQueue[Callable[[float], bool] | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the thread; it ends with the process, or after :meth:`stop`."""
        threading.Thread(target=self._run, name="watch-log", daemon=True).start()

    def wait_for(self, wait: Callable[[float], bool]) -> None:
        """Begin to wait for the next growth.

        Args:
            wait: What :meth:`Engine.watch` returned: waits some seconds, and says whether the log has grown.
        """
        self._waits.put(wait)

    def stop(self) -> None:
        """Let the thread end."""
        self._waits.put(None)

    def _run(self) -> None:
        while (wait := self._waits.get()) is not None:
            try:
                while not wait(_STEP):
                    if not self._waits.empty():
                        return
            except (OSError, OrchestratorError):
                time.sleep(_TROUBLE)
            self._grown()
