"""A local server, and backoff without waiting."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from local_server import LocalServer

from imf_core.web import hosts, responses


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(hosts, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def serve() -> Iterator[Callable[..., LocalServer]]:
    """Starts a server with the given answers."""
    with ExitStack() as stack:
        yield lambda **answers: stack.enter_context(
            LocalServer({f"/{name}": plan for name, plan in answers.items()})
        )
