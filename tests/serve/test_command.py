"""`imf serve`: its address, its token, and a whole start and end of the server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from served_world import make_completer
from tiny_world import ROOT

from cli.serve import TOKEN_VARIABLE, bind, is_loopback, read_token, serve
from imf_core.base.errors import ConfigError
from imf_core.inference.model_folder import pack

TOKEN = "a-token-of-enough-characters"


@pytest.fixture(autouse=True)
def _without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def test_a_busy_port_is_an_error_before_the_model_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} of 127.0.0.1 cannot be used .*--port"):
            serve(tmp_path / "no model", "127.0.0.1", port, None)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"of 192\.0\.2\.1 cannot be used"):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "box.example"])
def test_another_address_than_the_loopback_needs_a_token(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a token is needed.*--token-file FILE"):
        serve(tmp_path, host, 8765, None)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
    ],
)
def test_the_loopback_is_known(host: str, is_local: bool) -> None:
    assert is_loopback(host) == is_local


def test_a_token_is_read_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert read_token(None) == TOKEN
    path = tmp_path / "token.txt"
    path.write_text(f"{TOKEN}{TOKEN}\n")
    assert read_token(path) == 2 * TOKEN


@pytest.mark.parametrize("text", ["", "short", "with a space in the middle", "é" * 20])
def test_a_short_or_odd_token_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "token.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"token.txt must have at least 16"):
        read_token(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "none")


@pytest.mark.slow
def test_a_packed_model_is_served_until_it_is_interrupted(tmp_path: Path) -> None:
    pack(make_completer(tmp_path / "made"), tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cli", "serve", "--model", str(tmp_path / "model")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "loading the model\n"
    assert server.stdout.readline() == f"serving http://127.0.0.1:{port}/ until Ctrl-C\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/about") as answer:
        assert json.load(answer)["entities"] == 22
    leaving = socket.create_connection(("127.0.0.1", port))
    leaving.sendall(b"GET /static/main.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    leaving.close()  # a client that leaves does not end it
    time.sleep(0.2)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/about") as answer:
        assert answer.status == 200
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=60)
    assert (server.returncode, errors) == (0, "")
