"""Bytes and names that others rely on stay; `published.py` says how the record is rewritten."""

import json
from pathlib import Path

import published
import pytest

RECORD = json.loads(published.FILE.read_text())


@pytest.mark.parametrize("kind", RECORD["names"])
def test_names_of_keys_stages_and_commands_are_as_published(kind: str) -> None:
    assert published.list_names()[kind] == RECORD["names"][kind]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("graph", published.GRAPHS)
def test_bytes_of_all_outs_are_as_published(graph: str, tmp_path: Path) -> None:
    workspace = published.run_graph(tmp_path / "project", graph)
    assert published.list_columns(workspace) == RECORD["columns"]
    assert published.list_metric_keys(workspace) == RECORD["metrics"]
    found, recorded = published.list_outs(workspace), RECORD["outs"][graph]
    assert found.keys() == recorded.keys()
    changed = [out for out in recorded if found[out] != recorded[out]]
    exact = [out for out in changed if out.split(":")[0] in published.WITHOUT_ARITHMETIC]
    assert exact == []
    if published.one_thread_probe() != RECORD["arithmetic"]:
        pytest.skip("this processor rounds otherwise than that of the record: no bytes of floats")
    assert changed == []
