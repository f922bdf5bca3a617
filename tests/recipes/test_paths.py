"""Measurements of path networks alone: ranks and the choice of steps."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_world import LOOPED, ROOT, looped_graph, tiny_graph

from imf_core.base.config import FOLDER
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import with_inverses
from imf_core.paths.fine_tuning import FineTuning
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.prepare.prepare import prepare_graph
from recipes import path_ranks
from recipes.path_ranks import PathRanking, load_set
from recipes.paths import measure


def make_network() -> PathNetwork:
    torch.manual_seed(0)
    return PathNetwork(PathSpec(8, relation_layers=2, entity_layers=2))


def rank_naively(network: PathNetwork, graph: Graph, split: str, looped: set[int]) -> float:
    """MRR by one loop over the questions."""
    splits = ("train", "valid") if split == "valid" else ("train", "valid", "test")
    known = {
        tuple(fact)
        for each in splits
        for fact in with_inverses(graph.triples[each], graph.num_relations).tolist()
    }
    ranking, found = PathRanking(graph), []
    for head, relation, tail in with_inverses(graph.triples[split], graph.num_relations).tolist():
        (scores,) = network.score(ranking.paths, torch.tensor([[head, relation]])).tolist()
        others = [
            score
            for entity, score in enumerate(scores)
            if entity != tail
            and (head, relation, entity) not in known
            and (entity != head or relation % graph.num_relations in looped)
        ]
        above = sum(score > scores[tail] for score in others)
        ties = sum(score == scores[tail] for score in others)
        found.append(1 / (1 + above + ties / 2))
    return sum(found) / len(found)


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize(("make_graph", "looped"), [(tiny_graph, set()), (looped_graph, {LOOPED})])
def test_mrr_is_that_of_a_loop_with_the_own_entity_where_train_has_loops(
    make_graph: Callable[[], Graph], looped: set[int], split: str
) -> None:
    graph, network = make_graph(), make_network()
    expected = rank_naively(network, graph, split, looped)
    assert PathRanking(graph).measure_mrr(network, split, None) == pytest.approx(expected)


def test_the_weights_with_the_best_mrr_on_valid_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ranking, network, seen = PathRanking(tiny_graph()), make_network(), []
    mrrs = iter([0.2, 0.5, 0.4])

    def measure_mrr(network: PathNetwork, split: str, limit: int | None) -> float:
        seen.append((split, limit, float(network.mlp[0].weight.detach().sum())))
        return next(mrrs) if split == "valid" else 0.1

    monkeypatch.setattr(ranking, "measure_mrr", measure_mrr)
    found = measure(network, ranking, FineTuning(steps=20, learning_rate=0.01), 7)
    assert (found.steps, found.valid, found.test) == (10, 0.5, 0.1)
    assert [split for split, _, _ in seen] == ["valid", "valid", "valid", "test"]
    assert {limit for _, limit, _ in seen} == {7}
    assert seen[3][2] == seen[1][2] != seen[2][2]


def test_a_folder_is_prepared_below_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(path_ranks, "PARAMS", ROOT / "params.yaml")
    graph = load_set(str(ROOT / "examples" / "solar-system"))
    assert "Earth" in graph.entity_names
    assert sorted(path.name for path in tmp_path.iterdir()) == [".imf"]


def test_a_folder_named_like_another_set_has_its_own_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(path_ranks, "PARAMS", ROOT / "params.yaml")
    folders = [tmp_path / "one" / "wn18rr", tmp_path / "two" / "wn18rr"]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        facts = [f"{number}-{each}\tr\t{number}-{(each + 1) % 20}\n" for each in range(20)]
        (folder / "train.txt").write_text("".join(facts))
        assert f"{number}-1" in load_set(str(folder)).entity_labels
    made = {path.name for path in (tmp_path / ".imf" / "paths").iterdir()}
    assert len(made) == 2
    assert all(re.fullmatch(r"folder-[0-9a-f]{16}", name) for name in made)


def test_a_registered_set_is_prepared_once_for_the_same_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    own.write_text(text, encoding="utf-8")
    monkeypatch.setattr(path_ranks, "PARAMS", own)
    made = []

    def fill(name: str, raw: Path, *_: object) -> None:
        made.append(name)
        facts = [f"{each}\tr\t{(each + 1) % 20}\n" for each in range(20)]
        (raw / "train.txt").write_text("".join(facts))

    monkeypatch.setattr(path_ranks, "fill_raw", fill)
    monkeypatch.setattr(
        path_ranks, "prepare_graph", lambda raw, _, params: prepare_graph(raw, FOLDER, params)
    )
    load_set("wn18rr")
    load_set("wn18rr")
    assert made == ["wn18rr"]
    changed, count = re.subn(r"(?m)^(  valid_fraction): .*$", r"\1: 0.3", text)
    assert count == 1
    own.write_text(changed, encoding="utf-8")
    load_set("wn18rr")
    assert made == ["wn18rr"] * 2
