"""`make ui`: Prefect's server, the deployments and a worker on this machine, until Ctrl-C.

Everything it keeps lies in `.imf/prefect`, Prefect's home for this project: a server or profile
that somebody uses elsewhere is left alone. It imports nothing of Prefect, to answer at once.
"""

import argparse
import fcntl
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from flows.experiments.form import read_values
from flows.faults import FlowError
from flows.processes.children import Children
from flows.processes.parent import end_with_parent
from flows.server.parts import Parts
from imf_core.terminal import protect_output

HOME = Path(".imf/prefect")
HOST = "127.0.0.1"
DEFAULT_PORT = 4200
POOL = "imf"

_PYTHON = [sys.executable, "-m"]
_READY = """
Prefect is at {url}

  Deployments / experiment / Run    other values, tried beside the workspace
  Deployments / pipeline / Run      the workspace brought up to date with params.yaml

Ctrl-C stops it. Logs: {home}/*.log
"""


class Stop(BaseException):
    """Somebody wants `make ui` to end."""


def main() -> None:
    """Runs until it is told to end, or a part of it ends by itself; then stops every part."""
    parser = argparse.ArgumentParser(prog="python -m flows.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    port = parser.parse_args().port
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # as by nohup
            signal.signal(number, _raise_stop)
    if "MAKELEVEL" in os.environ:
        end_with_parent()
    try:
        read_values()  # they are what the forms begin with: faults are told before anything starts
        with owned_home() as lock:
            check_port(port)
            set_environment(port)
            run_parts(lock, port)
    except FlowError as error:
        sys.exit(f"error: {error}")
    except Stop:
        with suppress(OSError):  # the terminal may be gone
            print("stopped")


def run_parts(lock: int, port: int) -> None:
    """Starts the parts and watches over them.

    Raises:
        FlowError: If a part has ended; all the others are stopped then.
        Stop: If it was told to end; all parts are stopped then.
    """
    with Children([lock]) as children:
        parts = Parts(children, HOME)
        try:
            print("starting (the first time takes half a minute)", flush=True)
            prefect = [*_PYTHON, "prefect"]
            parts.start(
                "server", [*prefect, "server", "start", "--host", HOST, "--port", str(port)]
            )
            while not is_up(port):
                parts.watch(0.2)
            parts.run("leftovers", [*_PYTHON, "flows.server.leftovers"])
            parts.run("register", [*_PYTHON, "flows.register"])
            parts.start("worker", [*prefect, "worker", "start", "--pool", POOL])
            print(_READY.format(url=f"http://{HOST}:{port}", home=HOME), flush=True)
            parts.watch()
        finally:
            parts.stop()


@contextmanager
def owned_home() -> Iterator[int]:
    """Makes the folder for Prefect, and holds it for this process and its children.

    Yields:
        The descriptor of a locked file. Where its owner was killed, its children end a little
        later; that is waited for.

    Raises:
        FlowError: If another `make ui` owns it.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read()
            if _is_alive(int(owner or 0)):
                raise FlowError(
                    f"`make ui` runs in this folder already, as process {owner}"
                ) from None
            print(f"waiting for what the killed process {owner} has left behind to end", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def check_port(port: int) -> None:
    """Checks that a server can be started there.

    Raises:
        FlowError: If not.
    """
    if not 1 <= port <= 65_535:
        raise FlowError(
            f"the port must be from 1 to 65535, got {port}; take another: "
            f"make ui PORT={DEFAULT_PORT}"
        )
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except OSError as error:
        raise FlowError(
            f"port {port} of {HOST} cannot be had ({error}); take another: make ui PORT={port + 1}"
        ) from error


def set_environment(port: int) -> None:
    """Points this process's children to the server on `port`, and to no other.

    Prefect's variables of the user's environment are for another server; none is handed on.
    """
    url = f"http://{HOST}:{port}/api"
    theirs = sorted(name for name in os.environ if name.startswith("PREFECT_"))
    if os.environ.get("PREFECT_API_URL", url) != url:
        print(
            f"PREFECT_API_URL={os.environ['PREFECT_API_URL']} is not used: this server is another"
        )
    for name in theirs:
        del os.environ[name]
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ |= {
        "PREFECT_HOME": str(HOME.absolute()),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        "COLUMNS": "200",  # or lines of the logs would be broken
        "no_proxy": ",".join(filter(None, [no_proxy, HOST])),
    }


def is_up(port: int) -> bool:
    """Says whether the server answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{HOST}:{port}/api/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return process > 0


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    """Asks once; to end takes seconds, and is not to be disturbed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stop


if __name__ == "__main__":
    protect_output()
    main()
