"""The channel `paths`: its fit, when it is left out, and how it is saved."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_world import every_query, small_params, tiny_graph, tiny_model, tiny_paths, tiny_tables

from imf_core.base.config import PathsParams
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import find_loops
from imf_core.inference.unseen_entity import add_unseen_entities
from imf_core.model.saved import build_model, load_config, load_model, save_model
from imf_core.model.scorer import Scorer
from imf_core.paths.channel import PathChannel, PathScorer, build_channel
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.training import paths_fit
from imf_core.training.paths_fit import estimate_costs, fit_paths, tune_paths
from imf_core.training.trainer import Trainer

ALWAYS_KEPT, NEVER_KEPT = -1.0, 2.0


@pytest.fixture
def trainer() -> Trainer:
    """A trainer after its training."""
    params, graph = small_params(), tiny_graph()
    torch.manual_seed(0)
    model = build_model(graph, tiny_tables(), params.model, params.fusion)
    trainer = Trainer(model, graph, params)
    trainer.fit()
    return trainer


def network() -> PathNetwork:
    torch.manual_seed(3)
    return PathNetwork(PathSpec(8, 2, 3)).eval()


def paths(use: str, steps: int = 20) -> PathsParams:
    return PathsParams(use=use, weights="pretrained", steps=steps)  # type: ignore[arg-type]


def test_a_channel_that_valid_rewards_is_kept_with_a_decision_of_its_size(
    trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer.progress.best_mrr = ALWAYS_KEPT
    record = fit_paths(trainer, network(), paths("fine-tuned"))
    assert record["use"] == "fine-tuned"
    assert trainer.model.channel_names[-1] == "paths"
    assert len(trainer.model.decision.global_logits) == len(trainer.model.channel_names)
    assert bool(trainer.model.decision.global_logits.abs().gt(0).any())
    assert "MRR" in capsys.readouterr().out


def test_a_channel_without_gain_on_valid_is_left_out(
    trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Scorer(trainer.model).score_all_tails(every_query()).combined
    trainer.progress.best_mrr = NEVER_KEPT
    record = fit_paths(trainer, network(), paths("fine-tuned"))
    assert record["use"] == "off"
    assert record["without"] == NEVER_KEPT
    assert trainer.model.paths is None
    assert "left out" in capsys.readouterr().out
    after = Scorer(trainer.model).score_all_tails(every_query()).combined
    assert torch.equal(before, after)


def test_pretrained_weights_stay_as_they_are(trainer: Trainer) -> None:
    trainer.progress.best_mrr = ALWAYS_KEPT
    given = network()
    record = fit_paths(trainer, given, paths("pretrained"))
    assert (record["use"], record["steps"]) == ("pretrained", 0)
    assert trainer.model.paths is not None
    kept = trainer.model.paths.network.state_dict()
    assert all(torch.equal(kept[name], each) for name, each in given.state_dict().items())


def test_the_best_step_is_no_worse_on_valid_than_the_given_weights(trainer: Trainer) -> None:
    graph = trainer.graph

    def measure(network: PathNetwork) -> float:
        scorer = PathScorer(build_channel(network, graph), find_loops(graph))
        table = rank_triples(scorer, trainer.valid, trainer.known, graph.num_relations, 64)
        return float((1 / table.ranks[COMBINED]).mean())

    tuned = network()
    step = tune_paths(tuned, graph, trainer.valid, trainer.known, 60, seed=0)
    assert step > 0
    assert measure(tuned) > measure(network())
    same = network()
    assert tune_paths(same, graph, trainer.valid, trainer.known, 0, seed=0) == 0
    assert measure(same) == measure(network())


def test_auto_leaves_out_what_costs_more_than_the_training(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer.progress.best_mrr = ALWAYS_KEPT
    assert fit_paths(trainer, network(), paths("auto"))["use"] == "fine-tuned"
    of_paths, training = estimate_costs(network(), trainer, 20)
    monkeypatch.setattr(paths_fit, "ALWAYS", 0.0)
    monkeypatch.setattr(paths_fit, "SLOWNESS", 2 * paths_fit.SLOWNESS * training / of_paths)
    capsys.readouterr()
    assert fit_paths(trainer, network(), paths("auto")) == {"use": "off"}
    assert "2 times the training: left out" in capsys.readouterr().out


def test_auto_leaves_out_what_needs_much_memory(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths_fit, "MAX_BYTES", 1e3)
    assert fit_paths(trainer, network(), paths("auto")) == {"use": "off"}
    assert "GB of memory: left out" in capsys.readouterr().out


def test_costs_grow_with_size_steps_and_facts(trainer: Trainer) -> None:
    small, training = estimate_costs(network(), trainer, 20)
    assert training > 0
    assert estimate_costs(PathNetwork(PathSpec(16, 2, 3)), trainer, 20)[0] > 2 * small
    assert estimate_costs(network(), trainer, 40)[0] > small
    facts = trainer.graph.triples
    fewer = {**facts, "train": facts["train"][:10]}
    trainer.graph = replace(trainer.graph, triples=fewer)
    assert estimate_costs(network(), trainer, 20)[0] < small


def test_a_saved_model_keeps_its_channel(trainer: Trainer, tmp_path: Path) -> None:
    trainer.progress.best_mrr = ALWAYS_KEPT
    fit_paths(trainer, network(), paths("fine-tuned"))
    graph, tables, params = tiny_graph(), tiny_tables(), small_params()
    save_model(trainer.model, tmp_path, graph, tables, params, {})
    loaded = load_model(tmp_path, graph, tables)
    assert load_config(tmp_path).paths is not None
    expected, found = (
        Scorer(model).score_all_tails(every_query()).combined for model in (trainer.model, loaded)
    )
    assert torch.equal(found, expected)


def test_a_saved_model_without_the_channel_keeps_its_network_for_unseen_entities(
    trainer: Trainer, tmp_path: Path
) -> None:
    trainer.progress.best_mrr = NEVER_KEPT
    fit_paths(trainer, network(), paths("fine-tuned"))
    tuned = trainer.model.spare_network
    assert tuned is not None
    graph, tables, params = tiny_graph(), tiny_tables(), small_params()
    save_model(trainer.model, tmp_path, graph, tables, params, {})
    loaded, config = load_model(tmp_path, graph, tables), load_config(tmp_path)
    assert loaded.paths is None
    features = {
        name: (table.vectors.new_zeros(1, table.vectors.shape[1]), torch.tensor([False]))
        for name, table in tables.items()
    }
    facts = [("new", graph.relation_labels[0], graph.entity_labels[0])]
    grown = add_unseen_entities(graph, tables, loaded, config, ["new"], features, facts)[2]
    assert grown.paths is not None
    assert not grown.paths.answers_known
    found = grown.paths.network.state_dict()
    assert all(torch.equal(found[name], each) for name, each in tuned.state_dict().items())


def isolated(graph: Graph, entity: int) -> Graph:
    facts = graph.triples["train"]
    kept = facts[(facts[:, [0, 2]] != entity).all(dim=1)]
    return replace(graph, triples={**graph.triples, "train": kept})


def test_an_entity_without_facts_has_no_paths() -> None:
    graph = isolated(tiny_graph(), 5)
    model = tiny_model(graph=graph)
    model.set_paths(tiny_paths(graph))
    takes_part = model.takes_part(torch.tensor([[5, 0], [6, 0]]))
    assert takes_part[:, -1].tolist() == [False, True]


def test_no_query_has_no_logits() -> None:
    graph = tiny_graph()
    assert tiny_paths(graph).logits(every_query()[:0]).shape == (0, graph.num_entities)


@pytest.mark.parametrize("bound", [0, 1000, 1 << 20])
def test_kept_logits_are_those_of_the_network(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imf_core.paths.channel.MAX_KEPT_LOGITS", bound)
    channel: PathChannel = tiny_paths(tiny_graph())
    queries = every_query()[:40]
    expected = channel.network.score(channel.graph, queries)
    for _ in range(2):
        for some in (queries[:25], queries[10:]):
            rows = some[:, None].eq(queries).all(2).nonzero()[:, 1]
            torch.testing.assert_close(channel.logits(some), expected[rows])
