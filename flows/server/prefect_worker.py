"""Prefect's worker, without a log line in a waiting run for each poll of the queue.

`python -m flows.server.prefect_worker` takes the arguments of `prefect worker start`.
"""

import logging
import re
import sys

_LOGGER = "prefect.flow_runs.worker"
_OF_A_QUEUE = re.compile(
    r"Worker '.*' submitting flow run '|"
    r"Aborted submission of flow run .* non-pending state 'SCHEDULED'"
)


def is_of_use(record: logging.LogRecord) -> bool:
    """Returns whether a line is more than a poll of the queue."""
    return not _OF_A_QUEUE.match(record.getMessage())


def main() -> None:
    """Runs the worker until it is stopped."""
    from prefect.cli import app  # noqa: PLC0415

    logging.getLogger(_LOGGER).addFilter(is_of_use)
    sys.argv = ["prefect", "--no-prompt", "worker", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
