"""Prefect's server, on an SQLite database with several clients at once.

Prefect starts a transaction that reads before it writes as a reader. SQLite refuses its write if
another transaction has changed the data, at once and with any timeout, and the browser shows
"Service Unavailable" instead of the submitted run. Here every transaction starts as a writer, which
waits for its turn.

`python -m flows.server.prefect_server` takes the arguments of `prefect server start`.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def _begin_as_writer(
    configuration: AioSqliteConfiguration,
    session: AsyncSession,
    with_for_update: bool = True,  # noqa: ARG001
) -> AsyncGenerator[AsyncSessionTransaction]:
    """Starts a transaction that may write."""
    async with _begin(configuration, session, with_for_update=True) as transaction:
        yield transaction


def use_writers() -> None:
    """Makes every transaction of this process start as a writer."""
    AioSqliteConfiguration.begin_transaction = _begin_as_writer  # type: ignore[method-assign, assignment]


def main() -> None:
    """Runs the server until it is stopped."""
    from prefect.cli import app  # noqa: PLC0415

    use_writers()
    sys.argv = ["prefect", "--no-prompt", "server", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
