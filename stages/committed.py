"""The metrics of the last committed run: the one question that a stage asks of DVC.

What stands in git's HEAD is no input that `dvc.yaml` could name: a commit that changes nothing else
would have every page made anew. So a page says what it was compared with when it was made.
"""

import json
from typing import Any

import dvc.api
from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from stages.layout import EVALUATION


def read_committed_metrics() -> dict[str, Any] | None:
    """Reads the metrics that git's HEAD has.

    Returns:
        None where there is no repository or commit, HEAD has no run, or its metrics are neither
        in DVC's cache nor can be fetched.
    """
    path = (EVALUATION / "metrics.json").as_posix()
    try:
        metrics: dict[str, Any] = json.loads(dvc.api.read(path, rev="HEAD"))
    except (DvcException, SCMError, OSError, json.JSONDecodeError):
        return None
    return metrics
