"""One thin entry point per DVC stage: parse paths, load typed params, call the core, save."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""Exit status of shells after an interrupt from the keyboard."""

INTERRUPT_MESSAGE = "interrupted; finished stages and checkpoints are kept"


def _end(_signal: int, _frame: FrameType | None) -> None:
    print(INTERRUPT_MESSAGE, file=sys.stderr)
    sys.exit(INTERRUPTED)


# Set before torch is imported. OpenMP's threads otherwise wait by spinning, and a training nearly
# stops while another process uses one of the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if sys.argv[0] == "-m":
    # `python -m stages.NAME` has not imported the stage yet, which takes seconds.
    signal.signal(signal.SIGINT, _end)
