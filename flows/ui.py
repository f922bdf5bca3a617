"""`imf ui`: Prefect's server, the deployments and a worker on this machine, until Ctrl-C.

All its files are in `.imf/prefect`, Prefect's home for this project; other servers and profiles
stay unchanged. It does not import Prefect, to answer at once.
"""

import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from filelock import lock_descriptor

from flows.errors import FlowError
from flows.experiments.form import read_values
from flows.running.children import Children, end_with_parent
from flows.server.parts import HOST, MODEL_VARIABLE, REPORTS_VARIABLE, Parts

HOME = Path(".imf/prefect")
ADDRESS = HOME / "address"
"""File with the address of the API, for `python -m flows.register`."""
POOL = "imf"

_SECONDS_BETWEEN_LINES = 15
_PYTHON = [sys.executable, "-m"]
_READY = """
Prefect is at {}, the reports are at {},
and after a run the model of the workspace is at {}

  Deployments / experiment / Run    other values, tried beside the workspace
  Deployments / pipeline / Run      the workspace brought up to date with params.yaml

Ctrl-C stops it. Logs: {home}/*.log
"""
_PATIENCE_SECONDS = 60
"""How long the server waits for other writers of its database."""


class Stop(BaseException):
    """A signal asks `imf ui` to end."""


def main(port: int) -> None:
    """Runs until a signal or the end of any part; then stops every part.

    Args:
        port: Port of Prefect's server, from 1 to 65535.

    Raises:
        SystemExit: With a message, if a value of params.yaml, the port or the folder is refused, or
            a part has ended.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # as by nohup
            signal.signal(number, _raise_stop)
    if "MAKELEVEL" in os.environ:
        end_with_parent()
    try:
        read_values()  # the defaults of the forms: errors are reported before anything starts
        with owned_home() as lock:
            check_port(port)
            reports = choose_port(port + 1)
            model = choose_port(reports + 1)
            set_environment(port, reports, model)
            run_parts(lock, port, reports, model)
    except FlowError as error:
        sys.exit(f"error: {error}")
    except Stop:
        with suppress(OSError):  # the terminal may be gone
            print("stopped")


def run_parts(lock: int, port: int, reports: int, model: int) -> None:
    """Starts the parts and watches over them.

    Args:
        lock: Descriptor of a locked file, which each part keeps open.
        port: Port of Prefect's server.
        reports: Port of the server of reports.
        model: Port of the page of the model.

    Raises:
        FlowError: If a part has ended; all others are stopped.
        Stop: If a signal arrives; all parts are stopped.
    """
    began = time.monotonic()
    with Children([lock]) as children:
        parts = Parts(children, HOME)
        try:
            _say("starting Prefect's server (the first time takes a minute or two)")
            address = ["--host", HOST, "--port", str(port)]
            parts.start("server", [*_PYTHON, "flows.server.prefect", "server", *address])
            parts.start("reports", [*_PYTHON, "flows.server.report_server", str(reports)])
            parts.start("model", [*_PYTHON, "flows.server.model_server", str(model)])
            next_line = _SECONDS_BETWEEN_LINES
            while not is_up(port):
                parts.watch(0.2)
                if (waited := time.monotonic() - began) >= next_line:
                    next_line += _SECONDS_BETWEEN_LINES
                    _say(f"  still starting after {waited:.0f} s; its log: {HOME}/server.log")
            _say("registering the flows")
            parts.run("register", [*_PYTHON, "flows.register", "--end-leftovers"])
            _say("starting the worker")
            parts.start("worker", [*_PYTHON, "flows.server.prefect", "worker", "--pool", POOL])
            ADDRESS.write_text(os.environ["PREFECT_API_URL"], encoding="utf-8")
            pages = (f"http://{HOST}:{each}" for each in (port, reports, model))
            _say(_READY.format(*pages, home=HOME))
            parts.watch()
        finally:
            ADDRESS.unlink(missing_ok=True)
            parts.stop()


@contextmanager
def owned_home() -> Iterator[int]:
    """Makes the folder for Prefect, and locks it for this process and its children.

    Yields:
        Descriptor of the locked file. If the last owner was killed, this waits for its children.

    Raises:
        FlowError: If another `imf ui` owns the folder.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("a+", encoding="utf-8") as file:
        if not lock_descriptor(file.fileno(), blocking=False):
            file.seek(0)
            owner = file.read()
            if _is_alive(int(owner or 0)):
                raise FlowError(f"`imf ui` runs in this folder already, as process {owner}")
            print(f"waiting for the children of the killed process {owner} to end", flush=True)
            lock_descriptor(file.fileno())
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def check_port(port: int) -> None:
    """Checks that a server can listen on a port.

    Raises:
        FlowError: If it cannot.
    """
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except OSError as error:
        raise FlowError(
            f"port {port} of {HOST} is not available ({error}); take another: "
            f"imf ui --port {port + 1}"
        ) from error


def choose_port(port: int) -> int:
    """Returns `port`, so that links stay valid, or a free one if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):  # in use, or above the largest port
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def set_environment(port: int, reports: int, model: int) -> None:
    """Sets the environment of the children to the server on `port`.

    Prefect's variables in the user's environment are for another server; they are removed.

    Args:
        port: Port of Prefect's server.
        reports: Port of the server of reports.
        model: Port of the page of the model.
    """
    url = f"http://{HOST}:{port}/api"
    theirs = sorted(name for name in os.environ if name.startswith("PREFECT_"))
    if os.environ.get("PREFECT_API_URL", url) != url:
        print(
            f"PREFECT_API_URL={os.environ['PREFECT_API_URL']} is not used: "
            "`imf ui` has its own server"
        )
    for name in theirs:
        del os.environ[name]
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ |= {
        "PREFECT_HOME": str(HOME.absolute()),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # a run starts soon after the click
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        "PREFECT_SERVER_DATABASE_TIMEOUT": str(_PATIENCE_SECONDS),
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": str(_PATIENCE_SECONDS),
        REPORTS_VARIABLE: f"http://{HOST}:{reports}",
        MODEL_VARIABLE: f"http://{HOST}:{model}",
        "COLUMNS": "200",  # shorter lines would break the logs
        "no_proxy": ",".join(filter(None, [no_proxy, HOST])),
    }


def is_up(port: int) -> bool:
    """Returns whether the server answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{HOST}:{port}/api/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def read_address() -> str | None:
    """Returns the address of the API of this folder's `imf ui`, None if it does not run."""
    try:
        return ADDRESS.read_text(encoding="utf-8") if _is_owned() else None
    except FileNotFoundError:
        return None


def _is_owned() -> bool:
    """Returns whether a running `imf ui` owns Prefect's home; a killed one leaves its address."""
    with (HOME / "lock").open("rb") as file:
        return not lock_descriptor(file.fileno(), blocking=False)


def _say(line: str) -> None:
    print(line, flush=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    return process > 0


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    """Stops on the first signal and ignores further ones, since stopping takes seconds."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stop
