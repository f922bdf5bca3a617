"""A process that ends with its parent."""

import subprocess
import sys
from contextlib import ExitStack, suppress

import psutil
from running_ui import wait_until

CHILD = """
import time
from flows.running.children import end_with_parent
end_with_parent()
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def has_ended(process: psutil.Process) -> bool:
    """Counts a zombie as ended: its new parent need not wait for it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def test_a_process_ends_when_its_parent_is_killed() -> None:
    with ExitStack() as at_end:
        command = [sys.executable, "-c", PARENT]
        parent = at_end.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        at_end.callback(parent.kill)
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        at_end.callback(kill, child)
        wait_until(lambda: child.num_threads() > 1)  # it watches
        parent.kill()
        parent.wait()
        wait_until(lambda: has_ended(child))
