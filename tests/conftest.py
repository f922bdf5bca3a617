"""The tiny graph of `tiny_world` as fixtures, models trained on it, and a finished workspace."""

from collections.abc import Callable, Mapping

import pytest
import torch
from tiny_world import small_params, tiny_graph, tiny_tables
from workspace import Workspace, make_workspace

from imf_core.config import Params
from imf_core.data.graph import Graph
from imf_core.features.table import FeatureTable
from imf_core.inference.saved_model import build_model
from imf_core.model.imf import IMF
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def graph() -> Graph:
    return tiny_graph()


@pytest.fixture
def tables() -> dict[str, FeatureTable]:
    return tiny_tables()


@pytest.fixture
def make_trainer(graph: Graph, tables: dict[str, FeatureTable]) -> MakeTrainer:
    """Returns a function that makes a trainer like the stage, seeded by `train.seed`."""

    def make(
        overrides: Mapping[str, object] | None = None,
        graph: Graph = graph,
        tables: dict[str, FeatureTable] = tables,
        checkpoints: Checkpoints | None = None,
    ) -> Trainer:
        params = small_params(overrides)
        torch.manual_seed(params.train.seed)
        model = build_model(graph, tables, params.model, params.fusion)
        return Trainer(model, graph, params.train, params.fusion, params.decision, checkpoints)

    return make


@pytest.fixture(scope="session")
def trained() -> IMF:
    """The model of the tiny graph after thirty epochs; tests must not change it."""
    params: Params = small_params({"train.epochs": 30, "train.validate_every": 10})
    graph = tiny_graph()
    torch.manual_seed(0)
    model = build_model(graph, tiny_tables(), params.model, params.fusion)
    Trainer(model, graph, params.train, params.fusion, params.decision).fit()
    return model


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace after one `dvc repro`; tests must not change it."""
    workspace = make_workspace(tmp_path_factory.mktemp("project"))
    workspace.dvc("repro")
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "first run")
    return workspace
