"""`imf serve`: the trained model in a browser and as a JSON API, until Ctrl-C."""

import ipaddress
import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import torch
import uvicorn

from cli.curate import find_decisions_file, find_git_name, hash_model
from cli.results import open_model
from imf_core.base.artifacts import read_parquet
from imf_core.base.errors import ConfigError
from imf_core.base.params_file import load_params
from imf_core.graph.entities import read_entity_words
from imf_core.inference.completer import Completer
from imf_core.inference.predict import DEFAULT_AFFINITY
from imf_core.serve.access import LEAST_TOKEN, LOOPBACK, Access
from imf_core.serve.app import create_app
from imf_core.serve.curation import Curator
from imf_core.serve.pictures import Pictures
from stages.paths import GRAPH, IMAGES, MEDIA, PARAMS, PREDICTIONS

TOKEN_VARIABLE = "IMF_SERVE_TOKEN"
IDLE_SECONDS = 30
"""Seconds that a connection without requests stays open."""

MOST_THREADS = 8
"""Threads of the model's work, at most."""

STOP_SECONDS = 5
"""Seconds that requests in work have after Ctrl-C."""

AT_ONCE = 512
"""Requests in work or waiting; further ones get status 503."""


def serve(
    model: Path | None,
    host: str,
    port: int,
    token_file: Path | None,
    is_curated: bool = False,
    by: str | None = None,
) -> None:
    """Serves a model until Ctrl-C.

    Args:
        model: A packed model; None for that of the last run, with its pictures.
        host: Address to listen on.
        port: Port to listen on.
        token_file: File with the token of all requests; None for that of the environment.
        is_curated: Whether the page stores decisions about facts, in the file of the project.
        by: Name of the person who decides; None for that of git on the loopback, else for the page
            to ask.

    Raises:
        ConfigError: If the port is busy, the address is not of this machine, or a token is missing
            or too short.
    """
    token = read_token(token_file)
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host} lets other machines in, so a token is needed, of at least "
            f"{LEAST_TOKEN} characters; write one into a file and give --token-file FILE, or set "
            f"{TOKEN_VARIABLE}"
        )
    with bind(host, port) as bound:
        print("loading the model", flush=True)
        torch.set_num_threads(min(MOST_THREADS, torch.get_num_threads()))
        completer = open_model(model)
        pictures, descriptions = (None, None) if model else _read_media(completer)
        access = Access(LOOPBACK | {host.lower()}, token)
        owner = find_git_name() if is_loopback(host) else None  # others decide in their own name
        curator = _open_curator(by or owner) if is_curated else None
        least = (
            load_params(PARAMS).predict.min_relation_affinity if model is None else DEFAULT_AFFINITY
        )
        app = create_app(completer, pictures, descriptions, access, curator, least)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=AT_ONCE,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        is_any = host in ("0.0.0.0", "::")
        name = socket.gethostname() if is_any else host
        shown = f"[{name}]" if ":" in name else name
        print(f"serving http://{shown}:{bound.getsockname()[1]}/ until Ctrl-C", flush=True)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[bound])


def read_token(path: Path | None) -> str | None:
    """Reads the token of a file, or else of the environment; None without either.

    Raises:
        ConfigError: If the file cannot be read, or the token is too short or not of visible ASCII.
    """
    source = TOKEN_VARIABLE if path is None else str(path)
    try:
        text = os.environ.get(TOKEN_VARIABLE) if path is None else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); name a file with a token") from error
    if text is None:
        return None
    token = text.strip()
    if len(token) < LEAST_TOKEN or not (
        token.isascii() and token.isprintable() and " " not in token
    ):
        raise ConfigError(
            f"the token of {source} must have at least {LEAST_TOKEN} letters, digits or signs, got "
            f"{len(token)} characters; `python -c 'import secrets; print(secrets.token_urlsafe())'`"
            " makes one"
        )
    return token


def is_loopback(host: str) -> bool:
    """Returns whether an address is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket bound to an address.

    Raises:
        ConfigError: If the port is busy or the address is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as stack:
            bound = stack.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(1)  # another server that listens there is found now
            stack.pop_all()  # it stays open
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} cannot be used ({error.strerror or error}); end the program "
            "that listens there, or give another --port or --host"
        ) from error
    return bound


def _open_curator(by: str | None) -> Curator:
    """Opens the file of decisions, and the proposals of the last run.

    Raises:
        DataError: If a line of the file cannot be read, or there are no predictions.
    """
    curator = Curator(find_decisions_file(), read_parquet(PREDICTIONS), hash_model(), by)
    print(f"decisions: {len(curator.read())} in {curator.path}", flush=True)
    return curator


def _read_media(completer: Completer) -> tuple[Pictures, list[str]]:
    """Reads the index of the pictures, and the descriptions with looked-up ones, of a project."""
    graph = completer.graph
    pictures = Pictures(IMAGES, graph.fingerprint, graph.num_entities)
    (_, _, descriptions), _ = read_entity_words(
        GRAPH / "entities.parquet", MEDIA / "descriptions.parquet"
    )
    return pictures, descriptions
