"""The tiny graph of `tiny_world` as fixtures, models trained on it, and a finished workspace."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from chromium import CHROMIUM, QUIET
from tiny_world import small_params, tiny_graph, tiny_tables
from workspace import Workspace, built_once, make_workspace

from imf_core.base.config import Params, PrepareParams
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.model.imf import IMF
from imf_core.model.saved import build_model
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.trainer import Trainer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHARED = Path(__file__).parents[1] / "../shared"

MakeFolder = Callable[..., Path]
MakeTrainer = Callable[..., Trainer]

ON_ONE_WORKER = (
    *("ui", "prefect_server", "local_ray", "first_run", "found", "atlas_folder", "browser"),
    "run_files",
)
"""Expensive fixtures; with pytest-xdist, all tests of one run on the same worker."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups the tests that share an expensive fixture."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if shared := next((name for name in ON_ONE_WORKER if name in names), None):
            item.add_marker(pytest.mark.xdist_group(shared))


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
        return Trainer(model, graph, params, checkpoints)

    return make


@pytest.fixture(scope="session")
def trained() -> IMF:
    """The model of the tiny graph after thirty epochs; tests must not change it."""
    params: Params = small_params({"train.epochs": 30, "train.validate_every": 10})
    graph = tiny_graph()
    torch.manual_seed(0)
    model = build_model(graph, tiny_tables(), params.model, params.fusion)
    Trainer(model, graph, params).fit()
    return model


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace after one `dvc repro`; tests must not change it, and run no DVC in it."""

    def build(folder: Path) -> None:
        workspace = make_workspace(folder)
        workspace.dvc("repro")
        workspace.run("git", "add", "-A")
        workspace.run("git", "commit", "-qm", "first run")

    return Workspace(built_once(tmp_path_factory, "finished", build))


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished workspace, git and DVC's cache included."""
    return finished.copy_to(tmp_path / "project")


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Returns a function that writes a folder; a list of rows becomes a tab-separated file."""

    def make(files: dict[str, object], name: str = "source") -> Path:
        folder = tmp_path / name
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = content if isinstance(content, list) else []
            text = "".join("\t".join(row.split()) + "\n" for row in rows) or content
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        folder.mkdir(exist_ok=True)
        return folder

    return make


@pytest.fixture
def prepare_params() -> PrepareParams:
    return PrepareParams(
        split="leak-free", test="as-given", valid_fraction=0.1, test_fraction=0.1, seed=0
    )


@pytest.fixture
def ring_facts() -> list[str]:
    """Twelve entities, each linked to the next three by one relation each: 36 pairs."""
    return [f"e{i:02} r{step} e{(i + step) % 12:02}" for i in range(12) for step in (1, 2, 3)]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The directory with copies of public source files."""
    path = SHARED / "mirror"
    if not path.is_dir():
        pytest.skip(f"the mirror of public source files is not at {path}")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of few tests

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()
