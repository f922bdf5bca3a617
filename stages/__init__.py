"""One thin entry point per DVC stage: parse paths, load typed params, call the core, save."""

import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""Exit status of shells after an interrupt from the keyboard."""

INTERRUPT_MESSAGE = "interrupted; finished stages and checkpoints are kept"


def _end(_signal: int, _frame: FrameType | None) -> None:
    print(INTERRUPT_MESSAGE, file=sys.stderr)
    sys.exit(INTERRUPTED)


if sys.argv[0] == "-m":
    # `python -m stages.NAME` has not imported the stage yet, which takes seconds.
    signal.signal(signal.SIGINT, _end)
