"""The server of reports: the reports, and nothing else of this machine."""

import hashlib
import http.client
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

from flows.server.parts import REPORT, describe_report, report_link, report_title
from flows.server.report_server import Server

# DVC and the libraries below it warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("default")

OF_THE_EXPERIMENT = b"<p>the experiment's</p>"


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server in a project with a report, an experiment and a secret beside them."""
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    Repo.init().close()
    md5 = hashlib.md5(OF_THE_EXPERIMENT).hexdigest()
    lock = "stages: {report: {outs: [{path: results/report.html, md5: %s}]}}"
    Path("dvc.lock").write_text(lock % md5)
    cached = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(OF_THE_EXPERIMENT)
    subprocess.run([*git, "add", "dvc.lock"], check=True)
    subprocess.run([*git, "commit", "-qm", "run"], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    ref = f"refs/exps/{commit[:2]}/{commit[2:]}/rank-64"
    subprocess.run([*git, "update-ref", ref, commit], check=True)
    REPORT.parent.mkdir()
    REPORT.write_text("<p>the workspace's</p>")
    Path("results/secret.html").write_text("secret")
    with Server(0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def ask(
    port: int, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def test_the_reports_of_the_workspace_and_of_an_experiment_are_served(port: int) -> None:
    status, body, headers = ask(port, "/report.html")
    assert (status, body) == (200, b"<p>the workspace's</p>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(port, "/experiments/rank-64/report.html")[:2] == (200, OF_THE_EXPERIMENT)
    assert ask(port, "/report.html", "HEAD")[:2] == (200, b"")


def test_the_first_page_links_each_report(port: int) -> None:
    status, body, _ = ask(port, "/")
    assert status == 200
    assert b'href="/report.html"' in body
    assert b'href="/experiments/rank-64/report.html"' in body


@pytest.mark.parametrize(
    "path",
    [
        "/secret.html",
        "/results/secret.html",
        "/../dvc.lock",
        "/experiments/../report.html",
        "/experiments/rank-64/../../dvc.lock",
        "/experiments/rank-64/metrics.json",
        "/experiments/rank-65/report.html",
        "/%2e%2e/dvc.lock",
        "//etc/passwd",
        "/.git/config",
        "/report.html/",
    ],
)
def test_nothing_else_is_served(port: int, path: str) -> None:
    assert ask(port, path)[:2] == (404, b"there is no such report")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(port: int, method: str) -> None:
    assert ask(port, "/report.html", method)[0] == 501


@pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:{port}", "127.0.0.1"])
def test_a_page_of_another_site_cannot_read_a_report(port: int, host: str) -> None:
    status, body, _ = ask(port, "/report.html", host=host.format(port=port))
    assert status == 421
    assert b"workspace" not in body


def test_an_experiment_that_did_not_come_to_its_report_has_none(port: int) -> None:
    for cached in Path(".dvc/cache/files/md5").glob("*/*"):
        cached.unlink()
    assert ask(port, "/experiments/rank-64/report.html")[0] == 404


def test_a_run_links_its_report_where_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMF_REPORTS", "http://127.0.0.1:4201")
    assert report_link() == "http://127.0.0.1:4201/report.html"
    assert report_link("rank-64") == "http://127.0.0.1:4201/experiments/rank-64/report.html"
    assert "[Open the report](http://127.0.0.1:4201/report.html)" in describe_report(report_link())
    assert report_title(report_link(), "The report").startswith("[Open the report](http://")
    assert "Ask the model" not in describe_report(report_link())
    monkeypatch.setenv("IMF_MODEL_PAGE", "http://127.0.0.1:4202")
    assert "[Ask the model](http://127.0.0.1:4202)" in describe_report(report_link())
    monkeypatch.delenv("IMF_REPORTS")
    assert report_title(report_link(), "The report") == "The report"
    assert report_link() == str(Path("results/report.html").absolute())
    assert report_link("rank-64") == ""
    assert f"`{report_link()}`" in describe_report(report_link())


@pytest.mark.parametrize("link", ["http://127.0.0.1:4201/report.html", "/project/report.html"])
def test_the_link_of_the_workspace_says_that_a_later_run_replaces_it(link: str) -> None:
    assert "a later run replaces it" in describe_report(link)
    assert "replaces" not in describe_report(link, "rank-64")


def name_experiment(name: str) -> None:
    """Gives the commit of the experiment a second name."""
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    ref = f"refs/exps/{commit[:2]}/{commit[2:]}/{name}"
    subprocess.run(["git", "update-ref", ref, commit], check=True)


def test_a_name_with_marks_of_an_address_is_linked_and_served(port: int) -> None:
    name_experiment("100%-größer")
    link = "/experiments/100%25-gr%C3%B6%C3%9Fer/report.html"
    assert f'href="{link}"'.encode() in ask(port, "/")[1]
    assert ask(port, link)[:2] == (200, OF_THE_EXPERIMENT)


def test_the_first_page_leaves_out_experiments_without_a_report(port: int) -> None:
    for cached in Path(".dvc/cache/files/md5").glob("*/*"):
        cached.unlink()
    status, body, _ = ask(port, "/")
    assert status == 200
    assert b"rank-64" not in body
    assert b'href="/report.html"' in body


@pytest.mark.parametrize(
    "lock",
    [
        "",
        "stages:",
        "stages: {report:",
        "stages: {report: {}}",
        "stages: {report: {outs: [{}]}}",
        "stages: {report: {outs: [{path: results/report.html}]}}",
    ],
)
def test_an_experiment_whose_dvc_lock_is_cut_or_empty_has_no_report(port: int, lock: str) -> None:
    Path("dvc.lock").write_text(lock)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "commit", "-qam", "cut"], check=True)
    name_experiment("cut")
    status, body, _ = ask(port, "/")
    assert status == 200
    assert b"/cut/" not in body
    assert b"/rank-64/" in body
    assert ask(port, "/experiments/cut/report.html")[0] == 404


def test_a_report_that_cannot_be_read_is_answered_with_an_error(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> bytes:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    status, body, _ = ask(port, "/report.html")
    assert status == 500
    assert body == b"the report cannot be read: PermissionError: not yours"
