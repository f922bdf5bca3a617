"""The metrics of the last committed run, and the hashes in `dvc.lock`.

The content of git's HEAD cannot be a dependency in `dvc.yaml`: a commit that changes nothing else
would rerun the report. So the page names the commit that it was compared with.
"""

import json
from pathlib import Path
from typing import Any

import dvc.api
from dvc.exceptions import DvcException
from ruamel.yaml.error import YAMLError
from scmrepo.exceptions import SCMError

from imf_core.base.errors import DataError
from imf_core.base.yaml_text import read_yaml
from imf_core.graph.graph import Graph
from imf_core.model.saved import CONFIG
from imf_core.report.comparison import NotCompared
from stages.paths import EVALUATION, LOCK, METRICS, MODEL


def read_locked_stages(path: Path) -> dict[str, Any] | None:
    """Returns the entries of `dvc.lock` by stage.

    DVC writes the file in place; meanwhile it may be empty or incomplete.

    Returns:
        The entries; None without the file, or if it ends before its first stage: DVC ran no stage.

    Raises:
        DataError: If the file ends within a value, or is malformed.
    """
    if not path.exists():
        return None
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is damaged: it is no valid YAML; put it back with `git checkout {path}`, or "
            "remove it and run `dvc repro`"
        ) from error
    stages = content.get("stages") if isinstance(content, dict) else None
    return dict(stages) if stages else None


def read_committed_metrics(graph: Graph) -> dict[str, Any] | NotCompared:
    """Reads the metrics of git's HEAD.

    Args:
        graph: Graph of this run.

    Returns:
        The metrics, or the reason why there are none: no repository or commit, no run in HEAD, a
        run with other or unknown test facts, or files that are neither in DVC's cache nor on a
        remote.
    """
    try:
        model, metrics = _read(MODEL / CONFIG), _read(EVALUATION / METRICS)
    except (DvcException, SCMError, OSError, json.JSONDecodeError):
        return NotCompared.NOT_CACHED if _is_run_committed() else NotCompared.NO_RUN
    except Exception as error:  # clients of remotes have their own exceptions
        print(f"the last committed run is left aside, its files cannot be read: {error}")
        return NotCompared.NOT_CACHED
    # An early run may lack any of them.
    labels, facts, test = graph.fingerprint, graph.facts_digest, graph.test_digest
    is_of_model = model.get("graph_fingerprint") == labels and model.get("facts_digest") == facts
    is_of_test = metrics.get("test_digest") == test
    return metrics if is_of_model and is_of_test else NotCompared.OTHER_FACTS


def _read(path: Path) -> dict[str, Any]:
    """Reads a JSON file of HEAD."""
    content: dict[str, Any] = json.loads(dvc.api.read(path.as_posix(), rev="HEAD"))
    return content


def _is_run_committed() -> bool:
    """Returns whether HEAD's `dvc.lock` has metrics; DVC's error is the same for uncached ones."""
    try:
        lock: str = dvc.api.read(LOCK.as_posix(), rev="HEAD")
    except (DvcException, SCMError, OSError):
        return False
    return (EVALUATION / METRICS).as_posix() in lock
