"""Ready features instead of encoders, on a graph without images and texts."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from workspace import Workspace, make_workspace

from imf_core.base.artifacts import file_sha256, read_json, read_parquet_metadata

pytestmark = pytest.mark.slow

ENTITIES = 137


@pytest.fixture
def bare(tmp_path: Path) -> Workspace:
    """A workspace whose graph has only facts."""
    workspace = make_workspace(tmp_path)
    for name in ("image_index.tsv", "entity2name.txt", "entity2desc.txt"):
        (workspace.folder / "examples/solar-system" / name).unlink()
    return workspace


def give(workspace: Workspace, section: str, array: np.ndarray) -> Path:
    """Saves an array with a row per entity and names it in the parameters."""
    path = workspace.folder / f"{section}.npy"
    np.save(path, array)
    precomputed = {"path": path.name, "sha256": file_sha256(path)}
    workspace.set_params({section: {"precomputed": precomputed}})
    return path


def random_rows(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ENTITIES, 4)).astype(np.float16)


def test_a_graph_of_facts_alone_trains_with_ready_features(bare: Workspace) -> None:
    output = {}
    path = give(bare, "image_features", random_rows(0))
    give(bare, "text_features", random_rows(1))
    # Without the stage `images`: its pictures are not read.
    for stage in [
        "download",
        "prepare",
        "image_features",
        "text_features",
        "numeric_features",
        "tune",
        "train",
        "evaluate",
        "predict",
    ]:
        output[stage] = bare.stage(stage)
    assert "only with ready features (image_features.precomputed)" in output["prepare"]
    assert "137 of 137 entities have features" in output["image_features"]
    assert not (bare.folder / "data/images").exists()
    metadata = read_parquet_metadata(bare.folder / "data/features/image.parquet")
    assert metadata["model"] == "precomputed:image_features.npy"
    described = read_json(bare.folder / "results/model/config.json")["features"]["image"]
    assert described["file_sha256"] == file_sha256(path)
    assert (described["dim"], described["entities"]) == (4, ENTITIES)
    metrics = read_json(bare.folder / "results/evaluation/metrics.json")
    assert {"structural", "visual", "textual", "fused"} <= set(metrics["test"])


def test_dvc_notices_another_pinned_hash(bare: Workspace) -> None:
    for seed in (0, 1):
        give(bare, "text_features", random_rows(seed))
        assert "Running stage 'text_features'" in bare.dvc("repro", "text_features").stdout
        table = pq.read_table(bare.folder / "data/features/text.parquet")
        assert np.array_equal(np.stack(table["vector"].to_numpy()), random_rows(seed))
    assert "Running stage" not in bare.dvc("repro", "text_features").stdout


def test_a_file_that_was_changed_fails_without_a_traceback(bare: Workspace) -> None:
    np.save(give(bare, "text_features", random_rows(0)), random_rows(1))
    result = bare.dvc("repro", "text_features", check=False)
    assert result.returncode != 0
    message = result.stdout + result.stderr
    assert "error: text_features.precomputed.sha256 in params.yaml" in message
    assert "Traceback" not in message
