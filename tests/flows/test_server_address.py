"""The server that `python -m flows.register` finds, and its answers under load."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from workspace import ROOT

from flows.server.prefect import is_of_use, use_writers
from flows.ui import ADDRESS, choose_port, owned_home, read_address

# Prefect and the libraries below it warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("default")

URL = "http://127.0.0.1:4200/api"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_address_of_a_running_ui_is_known_as_long_as_it_runs() -> None:
    assert read_address() is None
    with owned_home():
        assert read_address() is None  # it is still starting
        ADDRESS.write_text(URL)
        assert read_address() == URL
    assert read_address() is None  # it was killed and left its address


@pytest.mark.slow
def test_registering_without_a_server_is_refused_with_a_remedy(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    result = subprocess.run(
        [sys.executable, "-m", "flows.register"],
        env={**environment, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "no `imf ui` runs in this folder, and PREFECT_API_URL is not set" in result.stderr
    assert "start `imf ui`" in result.stderr


@pytest.mark.parametrize("port", [45_210, 65_535])
def test_the_reports_get_a_port_of_their_own(port: int) -> None:
    reports = choose_port(port + 1)
    assert reports != port
    assert 0 < reports <= 65_535


async def transfer(configuration: AioSqliteConfiguration) -> None:
    """Reads and then writes, as a submission does."""
    engine = await configuration.engine()
    async with (
        await configuration.session(engine) as session,
        configuration.begin_transaction(session),
    ):
        value = (await session.execute(sa.text("SELECT value FROM counts"))).scalar_one()
        await asyncio.sleep(0.3)
        await session.execute(sa.text("UPDATE counts SET value = :new"), {"new": value + 1})


async def transfer_both(database: Path) -> int:
    """Has two do so at once; returns the sum of what they have counted."""
    configuration = AioSqliteConfiguration(f"sqlite+aiosqlite:///{database}")
    engine = await configuration.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE counts (value INTEGER)"))
        await connection.execute(sa.text("INSERT INTO counts VALUES (0)"))
    await asyncio.gather(*(transfer(configuration) for _ in range(2)))
    async with engine.connect() as connection:
        total = (await connection.execute(sa.text("SELECT value FROM counts"))).scalar_one()
    await engine.dispose()
    return int(total)


def test_two_submissions_at_once_both_come_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = AioSqliteConfiguration.begin_transaction
    monkeypatch.setattr(AioSqliteConfiguration, "begin_transaction", plain)  # to be put back
    use_writers()
    assert asyncio.run(transfer_both(tmp_path / "counts.db")) == 2


def test_as_prefect_begins_a_transaction_one_of_two_is_refused(tmp_path: Path) -> None:
    # Where this fails, Prefect itself begins as a writer, and `use_writers` can go.
    with pytest.raises(sa.exc.OperationalError, match="database is locked"):
        asyncio.run(transfer_both(tmp_path / "counts.db"))


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ("Worker 'ProcessWorker 1' submitting flow run '2'", False),
        (
            "Aborted submission of flow run '2': Server returned a non-pending state 'SCHEDULED'",
            False,
        ),
        ("Aborted submission of flow run '2': Server returned a non-pending state 'FAILED'", True),
        ("Flow run 'pipeline' submitted to infrastructure", True),
    ],
)
def test_a_run_that_waits_its_turn_has_no_line_for_each_look_at_the_queue(
    line: str, is_kept: bool
) -> None:
    record = logging.LogRecord("worker", logging.INFO, "", 0, line, None, None)
    assert is_of_use(record) is is_kept
