"""Prefect's worker, without lines in the log of a waiting run for each look at the queue.

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
    """Says whether a line says more than that a run is still asked for."""
    return not _OF_A_QUEUE.match(record.getMessage())


def main() -> None:
    """Starts the worker, and runs it until it is stopped."""
    from prefect.cli import app  # noqa: PLC0415

    logging.getLogger(_LOGGER).addFilter(is_of_use)
    sys.argv = ["prefect", "--no-prompt", "worker", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
