"""The made-up Wikimedia, and how it is asked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wikimedia import Wikimedia, running

from imf_core.config import FetchParams
from imf_core.lookup.asking import Web
from imf_core.web.store import WebStore

MakeWeb = Callable[..., Web]


@pytest.fixture
def world() -> Iterator[Wikimedia]:
    with running() as made:
        yield made


@pytest.fixture
def pauses() -> list[float]:
    """What was slept between two rounds of questions."""
    return []


@pytest.fixture
def make_web(world: Wikimedia, tmp_path: Path, pauses: list[float]) -> Iterator[MakeWeb]:
    """Returns a function that opens the store of this test, as another run would."""
    opened: list[WebStore] = []

    def make(**changes: object) -> Web:
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
        return Web(opened[-1], FetchParams.model_validate(values), world.url, pauses.append)

    yield make
    for store in opened:
        store.__exit__(None, None, None)


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web()
