"""The baseline is the model of the same parameters without image and text."""

from pathlib import Path

import pytest
import torch
import yaml
from tiny_world import ROOT, small_params, tiny_graph

from imf_core.base.artifacts import read_json, read_parquet
from imf_core.base.config import Params
from imf_core.evaluation.ranking import rank_triples
from imf_core.graph.known_tails import known_tails_in
from imf_core.graph.labels import save_graph
from imf_core.model.saved import build_model
from imf_core.model.scorer import Scorer
from imf_core.training.trainer import Trainer
from stages import baseline
from stages.paths import BASELINE, GRAPH


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_graph(tiny_graph(), tiny_graph().facts, GRAPH)
    return tmp_path


def write_params(params: Params) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params.model_dump()), "utf-8")


def test_it_ranks_as_a_model_of_structure_alone_does(workspace: Path) -> None:
    write_params(small_params())
    baseline.main()
    params, graph = small_params({"model.modalities": ["structure"]}), tiny_graph()
    torch.manual_seed(params.train.seed)
    model = build_model(graph, {}, params.model, params.fusion)
    Trainer(model, graph, params).fit()
    known, size = known_tails_in(graph), params.evaluate.batch_size
    test = graph.triples["test"]
    expected = rank_triples(Scorer(model), test, known, graph.num_relations, size)
    rows = [
        row
        for row in read_parquet(BASELINE / "ranks.parquet").to_pylist()
        if row["split"] == "test"
    ]
    assert [row["rank_combined"] for row in rows] == expected.ranks["combined"].tolist()
    assert set(read_json(BASELINE / "metrics.json")["test"]) >= {"mrr", "structural"}
    assert len(list(Path(".imf/checkpoints").glob("*/finished"))) == 1


def test_a_model_of_structure_alone_is_not_trained_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params(small_params({"model.modalities": ["structure"]}))
    monkeypatch.setattr(baseline, "make_trainer", None)
    baseline.main()
    assert read_json(BASELINE / "metrics.json") == {}
    assert read_parquet(BASELINE / "ranks.parquet").num_columns == 0


def test_what_dvc_does_not_watch_has_no_say() -> None:
    first = small_params()
    other = small_params(
        {
            "model.encoder_dim": 16,
            "model.hidden_dim": 9,
            "model.mask_missing": False,
            "model.dropout": 0.5,
            "train.encoder_n3": 1.0,
            "train.fused_n3": 1.0,
        }
    )
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]["baseline"]
    differ = {
        f"{section}.{key}"
        for section, values in first.model_dump(include={"model", "train"}).items()
        for key, value in values.items()
        if other.model_dump()[section][key] != value
    }
    every = {f"{s}.{k}" for s in ("model", "train") for k in first.model_dump()[s]}
    assert differ == every - set(stage["params"])
    assert baseline.keep_structure(first.model) == baseline.keep_structure(other.model)
    assert baseline.keep_structural_penalty(first.train) == baseline.keep_structural_penalty(
        other.train
    )
