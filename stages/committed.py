"""The metrics of the last committed run: the one question that a stage asks of DVC.

What stands in git's HEAD is no input that `dvc.yaml` could name: a commit that changes nothing else
would have every page made anew. So a page says what it was compared with when it was made.
"""

import json
from pathlib import Path
from typing import Any

import dvc.api
from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from imf_core.data.graph import Graph
from imf_core.inference.saved_model import CONFIG
from imf_core.report.comparison import NotCompared
from stages.layout import EVALUATION, LOCK, METRICS, MODEL


def read_committed_metrics(graph: Graph) -> dict[str, Any] | NotCompared:
    """Reads the metrics that git's HEAD has.

    Args:
        graph: That of this run.

    Returns:
        Why there is nothing to compare with: there is no repository or commit, HEAD has no run or
        one of other facts (as is one that does not say of which test facts it is), or its files are
        neither in DVC's cache nor can be fetched.
    """
    try:
        model, metrics = _read(MODEL / CONFIG), _read(EVALUATION / METRICS)
    except (DvcException, SCMError, OSError, json.JSONDecodeError):
        return NotCompared.NOT_CACHED if _is_run_committed() else NotCompared.NO_RUN
    except Exception as error:  # what a remote's client raises is its own
        print(f"the last committed run is left aside, its files cannot be read: {error}")
        return NotCompared.NOT_CACHED
    # An early run may lack any of them.
    labels, facts, test = graph.fingerprint, graph.facts_digest, graph.test_digest
    is_of_model = model.get("graph_fingerprint") == labels and model.get("facts_digest") == facts
    is_of_test = metrics.get("test_digest") == test
    return metrics if is_of_model and is_of_test else NotCompared.OTHER_FACTS


def _read(path: Path) -> dict[str, Any]:
    """Reads a JSON file as it stands in HEAD."""
    content: dict[str, Any] = json.loads(dvc.api.read(path.as_posix(), rev="HEAD"))
    return content


def _is_run_committed() -> bool:
    """Whether HEAD's `dvc.lock` names metrics; DVC has one error for no file and one not cached."""
    try:
        lock: str = dvc.api.read(LOCK.as_posix(), rev="HEAD")
    except (DvcException, SCMError, OSError):
        return False
    return (EVALUATION / METRICS).as_posix() in lock
