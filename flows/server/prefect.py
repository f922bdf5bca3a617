"""Prefect's server and worker: `python -m flows.server.prefect server` or `worker`.

Further arguments are those of `prefect server start` and `prefect worker start`.

The server has an SQLite database with several clients at once. Prefect starts a transaction that
reads before it writes as a reader. SQLite refuses its write if another transaction has changed the
data, at once and with any timeout, and the browser shows "Service Unavailable" instead of the
submitted run. Here every transaction starts as a writer, which waits for its turn.

The worker logs no line in a waiting run for each poll of the queue.
"""

import logging
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_LOGGER = "prefect.flow_runs.worker"
_OF_A_QUEUE = re.compile(
    r"Worker '.*' submitting flow run '|"
    r"Aborted submission of flow run .* non-pending state 'SCHEDULED'"
)


def use_writers() -> None:
    """Makes every transaction of this process start as a writer."""
    # Not at the top: the worker does not need these modules.
    from prefect.server.database.configurations import AioSqliteConfiguration  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction  # noqa: PLC0415

    begin = AioSqliteConfiguration.begin_transaction

    @asynccontextmanager
    async def begin_as_writer(
        configuration: AioSqliteConfiguration,
        session: AsyncSession,
        with_for_update: bool = True,  # noqa: ARG001
    ) -> AsyncGenerator[AsyncSessionTransaction]:
        async with begin(configuration, session, with_for_update=True) as transaction:
            yield transaction

    AioSqliteConfiguration.begin_transaction = begin_as_writer  # type: ignore[method-assign, assignment]


def is_of_use(record: logging.LogRecord) -> bool:
    """Returns whether a line is more than a poll of the queue."""
    return not _OF_A_QUEUE.match(record.getMessage())


def main() -> None:
    """Runs the server or the worker until it is stopped."""
    from prefect.cli import app  # noqa: PLC0415

    part, *arguments = sys.argv[1:]
    if part == "server":
        use_writers()
    else:
        logging.getLogger(_LOGGER).addFilter(is_of_use)
    sys.argv = ["prefect", "--no-prompt", part, "start", *arguments]
    app()


if __name__ == "__main__":
    main()
