"""Ray on this machine or in a cluster: import, start or join, capacity check, error messages.

Only this module imports Ray, which is the optional extra `ray`.
"""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import imf_core
from imf_core.base.errors import ClusterError, ConfigError


@dataclass(frozen=True)
class Workers:
    """The requested Ray workers.

    Attributes:
        section: The section of `params.yaml`, for errors.
        number: Number of encoding processes.
        device: cuda: each worker gets one GPU.
        num_threads: Threads of each worker; on a CPU it gets as many cores.
        address: Address of the cluster, `auto` for the one of this machine; None: local Ray.
    """

    section: str
    number: int
    device: Literal["cpu", "cuda"]
    num_threads: int
    address: str | None


def require_ray(section: str) -> Any:
    """Imports Ray with Ray Data.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import ray  # noqa: PLC0415 - optional
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"{section}.ray_workers in params.yaml is not 0, but Ray Data cannot be imported "
            f"({error}); run `pip install -c requirements-dev.lock -e '.[ray]'` in the project's "
            "root, or set it to 0"
        ) from error
    return ray


@contextmanager
def connected(ray: Any, workers: Workers) -> Iterator[None]:
    """Joins the cluster or starts a local Ray, and disconnects or stops it at the end."""
    if ray.is_initialized():
        yield
        return
    if workers.address is not None and "://" in workers.address:
        raise ClusterError(
            f"RAY_ADDRESS is {workers.address}, but chunks are read on this machine, which must "
            "be in the cluster itself: run `ray start --address=HOST:6379` here and set "
            "RAY_ADDRESS to auto"
        )
    handler = signal.getsignal(signal.SIGTERM)
    alone = {"num_cpus": workers.number * workers.num_threads, "include_dashboard": False}
    try:
        ray.init(
            address=workers.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            # Every worker gets the code of this process, on any machine.
            runtime_env={"py_modules": [str(Path(imf_core.__file__).parent)]},
            **({} if workers.address else alone),
        )
    except (OSError, RuntimeError, ValueError) as error:
        ray.shutdown()
        where = f"the cluster at {workers.address}" if workers.address else "Ray on this machine"
        raise ClusterError(
            f"{workers.section}: {where} cannot be reached or started: {_first_line(error)}; "
            "check the environment variable RAY_ADDRESS, or set "
            f"{workers.section}.ray_workers to 0"
        ) from error
    try:
        # Ray's handler aborts before everything is stopped.
        _handle_sigterm(lambda number, _: sys.exit(128 + number))
        yield
    finally:
        ray.shutdown()
        _handle_sigterm(handler)


def _handle_sigterm(handler: Any) -> None:
    """Sets the handler of SIGTERM; only the main thread may."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def explained(ray: Any, workers: Workers) -> Iterator[None]:
    """Silences Ray Data's console and explains its failures; our own errors keep their traceback.

    Raises:
        ClusterError: If Ray failed.
    """
    consoles = [
        handler
        for handler in logging.getLogger("ray.data").handlers
        if handler.get_name() == "console"
    ]
    levels = [handler.level for handler in consoles]
    for handler in consoles:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    except ray.exceptions.RayTaskError:
        raise
    except (ray.exceptions.RayError, ray.data.exceptions.ExecutionTimeoutError) as error:
        raise ClusterError(
            f"{workers.section}: Ray failed: {_first_line(error)}; finished chunks are kept, run "
            f"again, or with a lower {workers.section}.batch_size if a worker ran out of memory"
        ) from error
    finally:
        for handler, level in zip(consoles, levels, strict=True):
            handler.setLevel(level)


def require_room(ray: Any, workers: Workers) -> None:
    """Refuses workers that exceed the cluster; Ray would wait forever or use fewer.

    Raises:
        ClusterError: If the present machines have no capacity for all workers.
    """
    kind, each = ("GPU", 1) if workers.device == "cuda" else ("CPU", workers.num_threads)
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(int(resources.get(kind, 0)) // each for resources in machines)
    if room < workers.number:
        raise ClusterError(
            f"{workers.section}.ray_workers in params.yaml is {workers.number}, each with "
            f"{each} {kind}, but Ray has room for {room} (machines: {len(machines)}); lower it, "
            "or add machines to the cluster; a worker asks for as many CPUs as this process has "
            "threads (OMP_NUM_THREADS), or with device cuda for one GPU"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
