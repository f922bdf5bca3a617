"""A process that ends when the one that started it has ended, in whatever way.

Prefect's worker takes its flow runs with it when it stops, but not when it is killed: they would go
on as orphans that nobody can cancel.
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
    """Does `end_with_parent` where a worker has launched this process; once."""
    if _LAUNCHED in os.environ:
        end_with_parent()


def end_with_parent() -> None:
    """Starts to watch for the parent's end, to tell this process to end then, and to kill it soon.

    Told by SIGTERM, it cleans up and says what became of it, where there is still somebody to say
    it to. It does not know of a parent that has ended before the call.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PAUSE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
