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
from stages.layout import EVALUATION, METRICS, MODEL


def read_committed_metrics(graph: Graph) -> dict[str, Any] | None:
    """Reads the metrics that git's HEAD has.

    Args:
        graph: That of this run.

    Returns:
        None where there is no repository or commit, HEAD has no run or one of other facts (as is
        one that does not say of which test facts it is), or its files are neither in DVC's cache
        nor can be fetched.
    """
    try:
        model, metrics = _read(MODEL / CONFIG), _read(EVALUATION / METRICS)
    except (DvcException, SCMError, OSError, json.JSONDecodeError):
        return None
    except Exception as error:  # what a remote's client raises is its own
        print(f"the last committed run is left aside, its files cannot be read: {error}")
        return None
    # An early run may lack any of them.
    labels, facts, test = graph.fingerprint, graph.facts_digest, graph.test_digest
    is_of_model = model.get("graph_fingerprint") == labels and model.get("facts_digest") == facts
    return metrics if is_of_model and metrics.get("test_digest") == test else None


def _read(path: Path) -> dict[str, Any]:
    """Reads a JSON file as it stands in HEAD."""
    content: dict[str, Any] = json.loads(dvc.api.read(path.as_posix(), rev="HEAD"))
    return content
