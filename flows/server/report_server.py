"""Serves the reports of the workspace and of its experiments to this machine's browsers.

`python -m flows.server.report_server PORT`, a part of `imf ui`. It serves a few fixed URLs, one
file for each; it never turns a URL into a path.
"""

import html
import re
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dvc.repo import Repo
from ruamel.yaml.error import YAMLError

from flows.errors import FlowError
from flows.experiments.workspace_copy import Experiment, git, list_experiments
from flows.running.workspace import LOCK_FILE, parse_lock_file
from flows.server.parts import HOST, REPORT, experiment_path

_STAGE = "report"
_MD5 = re.compile(r"[0-9a-f]{32}")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>IMF: reports</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto;
padding: 0 1rem; overflow-wrap: anywhere; }}</style></head>
<body><h1>Reports</h1><ul>{items}</ul></body></html>"""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """A server on the loopback.

    Attributes:
        names: Host headers that it accepts.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        """Listens on a port; 0: any free port."""
        super().__init__((HOST, port), Handler)
        self.names = {f"{host}:{self.server_port}" for host in (HOST, "localhost")}


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the list of reports and for each report."""

    server: Server
    timeout = 30
    server_version = "IMF"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers with a page, or with an error."""
        self._answer()

    do_HEAD = do_GET  # noqa: N815

    def _answer(self) -> None:
        # This refuses DNS rebinding: a site that resolves its own name to this machine.
        if self.headers.get("Host") not in self.server.names:
            self._send(HTTPStatus.MISDIRECTED_REQUEST, "not a name of this server", "text/plain")
            return
        try:
            body = find_page(self.path.partition("?")[0])
        except Exception as error:  # the browser gets an answer after any error
            message = f"the report cannot be read: {type(error).__name__}: {error}"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, message, "text/plain")
            return
        if body is None:
            self._send(HTTPStatus.NOT_FOUND, "there is no such report", "text/plain")
        else:
            self._send(HTTPStatus.OK, body, "text/html")

    def _send(self, status: HTTPStatus, body: str | bytes, kind: str) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def find_page(path: str) -> bytes | str | None:
    """Returns the page of a URL path, None if there is none.

    Raises:
        FlowError: If git fails.
        OSError: If a report cannot be read.
    """
    if path == "/":
        return _list_reports()
    if path == f"/{REPORT.name}":
        return _read(REPORT)
    for experiment in list_experiments():
        if unquote(path) == unquote(experiment_path(experiment.name)):
            report = _find_report(experiment)
            return _read(report) if report else None
    return None


def _list_reports() -> str:
    links = [(f"/{REPORT.name}", "the workspace's last run")] if REPORT.is_file() else []
    links += [
        (experiment_path(each.name), f"experiment {each.name}")
        for each in list_experiments()
        if _find_report(each)
    ]
    items = "".join(
        f'<li><a href="{html.escape(link)}">{html.escape(title)}</a></li>' for link, title in links
    )
    return _PAGE.format(items=items or "<li>none yet: run the flow pipeline</li>")


def _find_report(experiment: Experiment) -> Path | None:
    """Finds the report of an experiment in DVC's cache; None if there is none."""
    md5 = next((out["md5"] for out in _read_outs(experiment) if _is_report(out)), "")
    if not _MD5.fullmatch(md5):
        return None
    with Repo() as repo:
        path = Path(repo.cache.local.oid_to_path(md5))
    return path if path.is_file() else None


def _read_outs(experiment: Experiment) -> list[dict[str, Any]]:
    """Reads the outs of the report; empty if dvc.lock is missing, empty or incomplete."""
    try:
        stages = parse_lock_file(git("show", f"{experiment.commit}:{LOCK_FILE}"))
    except (FlowError, YAMLError):
        return []
    return (stages.get(_STAGE) or {}).get("outs") or []


def _is_report(out: dict[str, Any]) -> bool:
    return out.get("path") == REPORT.as_posix() and isinstance(out.get("md5"), str)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def main() -> None:
    """Serves until it is stopped."""
    with Server(int(sys.argv[1])) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
