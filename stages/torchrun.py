"""Runs a stage's work in several processes of this machine, with torchrun.

The stage launches its module once per process and waits. In each process the module detects
torchrun, joins the others and does its share. From outside, the stage is one process: it reports a
failure once, ends with the status of the failed process, and leaves no processes behind.
"""

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

import torch
import torch.distributed as dist

from imf_core.base.device import ALONE, Processes
from imf_core.base.errors import ConfigError, LostProcessError

LAUNCHER_VARIABLE = "IMF_LAUNCHER"
"""Variable with the launcher's process id, set for its processes."""

PAUSE_SECONDS = 0.5
"""Pause between two checks whether the launcher runs."""

GRACE_SECONDS = 30.0
"""A process that fails after another one waits this long before it reports its error."""

LONGEST_WAIT = timedelta(days=7)
"""Longest wait for another process, which may validate; the end of a process is noticed at once."""


def run_in_processes(
    stage: Literal["train", "evaluate", "baseline"],
    section: Literal["train", "evaluate"],
    count: int,
    device: torch.device,
    work: Callable[[Processes], None],
) -> None:
    """Runs a stage's work in a number of processes.

    Args:
        stage: Name of the stage's module, beside this one.
        section: The section of the parameters with `processes`.
        count: Number of processes.
        device: The CPU, whose threads the processes share, or cuda: one GPU for each.
        work: Called in every process after they are joined.

    Raises:
        ConfigError: If this machine cannot run so many.
        SystemExit: If a process has failed, with its status.
        LostProcessError: If a signal has ended a process.
    """
    if dist.is_available() and dist.is_torchelastic_launched():
        with _process_group(section, count, device) as processes:
            work(processes)
    elif count == 1:
        work(ALONE)
    else:
        _check(section, count, device)
        _launch(f"stages.{stage}", count)


def _check(section: str, count: int, device: torch.device) -> None:
    """Refuses more processes than this machine can run."""
    if not dist.is_available():
        raise ConfigError(
            f"params.yaml: {section}.processes is {count}, but this build of torch has no "
            "torch.distributed; set it to 1"
        )
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise ConfigError(
            f"params.yaml: {section}.processes is {count}, but each takes a GPU of its own and "
            f"there are {torch.cuda.device_count()}; lower it, or set {section}.device: cpu"
        )


def _launch(module: str, count: int) -> None:
    """Runs a module in `count` processes and waits for them."""
    # Not at the top: some builds of torch lack these modules.
    from torch.distributed.elastic.multiprocessing import (  # noqa: PLC0415
        DefaultLogsSpecs,
        SignalException,
    )
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    reports = logging.getLogger("torch.distributed.elastic")
    reports.addHandler(logging.NullHandler())
    reports.propagate = False  # the failed process has reported its error
    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    with tempfile.TemporaryDirectory(prefix="imf-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=module,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            signals_to_handle="SIGTERM,SIGHUP,SIGQUIT",  # Python itself handles SIGINT
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        ended_by: int | None = None
        try:
            elastic_launch(config, sys.executable)("-m", module)
        except ChildFailedError as error:
            _end_as([failure.exitcode for failure in error.failures.values()])
        except SignalException as error:
            ended_by = error.sigval
        except KeyboardInterrupt:
            ended_by = signal.SIGINT
    if ended_by is not None:  # like a single process
        signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)


def _end_as(statuses: list[int]) -> None:
    """Ends the launcher with the status of the process that failed.

    `statuses` also has the others, which torchrun ended by SIGTERM.

    Raises:
        LostProcessError: If a signal ended it.
        SystemExit: Otherwise.
    """
    failed = max(statuses)
    if failed > 0:
        sys.exit(failed)
    name = signal.Signals(-failed).name
    raise LostProcessError(
        f"one of the stage's processes was ended by {name}; if that was for lack of memory, "
        "lower the number of processes in params.yaml"
    )


@contextmanager
def _process_group(section: str, count: int, device: torch.device) -> Iterator[Processes]:
    """Joins the other processes during the work."""
    from torch.distributed.rendezvous import rendezvous  # noqa: PLC0415 (as in `_launch`)

    _end_with_launcher()
    store, rank, found = next(rendezvous("env://"))
    try:
        _expect(count, found, section)
        _assign_device(device)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(
            backend, timeout=LONGEST_WAIT, store=store, rank=rank, world_size=found
        )
        sys.excepthook = sys.__excepthook__  # torch's hook puts the rank before every line
        yield Processes(rank, found)
    except Exception as error:
        # An error in one process soon causes errors in all: the first one reports.
        if isinstance(error, LostProcessError) or store.add("failures", 1) > 1:
            time.sleep(GRACE_SECONDS)
        raise
    dist.destroy_process_group()


def _expect(count: int, found: int, section: str) -> None:
    """Refuses a number of processes that differs from the parameters (a manual torchrun)."""
    if found != count:
        raise ConfigError(
            f"params.yaml: {section}.processes is {count}, but torchrun has started {found}; set "
            f"it to {found}"
        )


def _assign_device(device: torch.device) -> None:
    """Selects this process's GPU or its share of the CPU's threads."""
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        number_here = int(os.environ["LOCAL_WORLD_SIZE"])
        torch.set_num_threads(max(1, torch.get_num_threads() // number_here))


def _end_with_launcher() -> None:
    """Watches the launcher in a thread and ends this process when the launcher ends."""
    launcher = int(os.environ.get(LAUNCHER_VARIABLE, os.getppid()))

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(PAUSE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
