"""A simulated Wikimedia, and a client for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_wikimedia import Wikimedia, running

from imf_core.base.config import FetchParams
from imf_core.web.store import WebStore
from imf_core.wikimedia.api import Client

MakeWeb = Callable[..., Client]


@pytest.fixture
def world() -> Iterator[Wikimedia]:
    with running() as made:
        yield made


@pytest.fixture
def pauses() -> list[float]:
    """The pauses between two rounds of requests."""
    return []


@pytest.fixture
def make_web(world: Wikimedia, tmp_path: Path, pauses: list[float]) -> Iterator[MakeWeb]:
    """Returns a function that opens the store of this test, as another run would."""
    opened: list[WebStore] = []

    def make(**changes: object) -> Client:
        values = {
            "contact": "someone@example.org",
            "requests_per_host": 4,
            "attempts": 3,
            "timeout_seconds": 15.0,
            "longest_pause_seconds": 30.0,
            "allowed_private_hosts": [],
            **changes,
        }
        opened.append(WebStore(tmp_path / "web"))
        return Client(opened[-1], FetchParams.model_validate(values), world.url, pauses.append)

    yield make
    for store in opened:
        store.__exit__(None, None, None)


@pytest.fixture
def web(make_web: MakeWeb) -> Client:
    return make_web()
