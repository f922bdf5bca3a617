"""Ends this process when its parent ends.

Prefect's worker stops its flow runs when it stops, but not when it is killed: they would continue
as orphans that cannot be cancelled.
"""

import os
import signal
import threading
import time
from functools import cache

_LAUNCHED = "PREFECT__FLOW_RUN_ID"
"""Set by a worker for the processes that it launches."""

_PAUSE_SECONDS = 0.5
_GRACE_SECONDS = 10.0


@cache
def end_with_worker() -> None:
    """Calls `end_with_parent`, once, if a worker launched this process."""
    if _LAUNCHED in os.environ:
        end_with_parent()


def end_with_parent() -> None:
    """Watches the parent in a thread; at its end, sends SIGTERM and later SIGKILL to this process.

    After SIGTERM the process cleans up and reports its state. A parent that ended before the call
    goes unnoticed.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PAUSE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
