"""Measures answers about entities held out of the training: `python -m recipes.unseen`.

Removes all facts of some entities from the graph, trains the model as the stage `train` does, then
gives half of the removed facts back at question time, without training, and asks the other half in
both directions: what a held-out entity is related to, and which held-out entity is related to a
known one. The parameters are those of params.yaml and `results/tuning/chosen.json`.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from imf_core.base.config import Params
from imf_core.base.device import to_device
from imf_core.base.params_file import load_params
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, known_tails_in, with_inverses
from imf_core.model.imf import IMF
from imf_core.model.kernels import NO_ANSWER_LOGIT
from imf_core.model.scorer import Scorer
from imf_core.paths.channel import CHANNEL, build_channel
from imf_core.paths.pretrained import find_network, load_pretrained
from imf_core.training.paths_fit import fit_paths
from recipes.environment import make_table
from recipes.suspects import train_model
from stages.inputs import load_inputs
from stages.paths import PARAMS
from stages.runner import run_stage

BATCH = 256
DECISION, MIXED = "the decision", "paths and text, equal weights"


@dataclass(frozen=True)
class HeldOut:
    """A graph without some entities, and their facts.

    Attributes:
        graph: Without any fact of the entities.
        entities: The held-out entities, shape: (M,), dtype: long.
        shown: Facts given at question time, shape: (N, 3), dtype: long.
        asked: The other facts, shape: (N, 3), dtype: long.
    """

    graph: Graph
    entities: Tensor
    shown: Tensor
    asked: Tensor


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.unseen",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[0, 1, 2])
    parser.add_argument("--fraction", type=float, default=0.1, help="of the entities (0.1)")
    given = parser.parse_args()
    graph, tables = load_inputs()
    found = [_measure(graph, tables, given.fraction, seed) for seed in given.seeds]
    rows = [
        [
            side,
            channel,
            *(f"{100 * each[side, channel]:.1f}" for each in found),
            f"{100 * np.mean([each[side, channel] for each in found]):.1f}",
        ]
        for side, channel in found[0]
    ]
    titles = ["asked for", "by", *(f"seed {seed}" for seed in given.seeds), "mean MRR"]
    print("\n".join(make_table(titles, rows)))


def hold_out(graph: Graph, fraction: float, seed: int) -> HeldOut:
    """Removes the facts of some entities, and divides them in two.

    Args:
        graph: The graph.
        fraction: Share of the entities.
        seed: Of the choice of entities and of the division.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(graph.num_entities, generator=generator)
    entities = order[: max(1, round(fraction * graph.num_entities))]
    is_held = torch.zeros(graph.num_entities, dtype=torch.bool)
    is_held[entities] = True
    kept, removed = {}, []
    for split, facts in graph.triples.items():
        touches = is_held[facts[:, [0, 2]]].any(dim=1)
        kept[split] = facts[~touches]
        removed.append(facts[touches])
    held = torch.cat(removed)
    held = held[torch.randperm(len(held), generator=generator)]
    middle = len(held) // 2
    return HeldOut(replace(graph, triples=kept), entities, held[:middle], held[middle:])


def _measure(
    graph: Graph, tables: Mapping[str, FeatureTable], fraction: float, seed: int
) -> dict[tuple[str, str], float]:
    """Returns the MRR by side and channel."""
    held, params = hold_out(graph, fraction, seed), load_params(PARAMS)
    model = _train(held.graph, tables, params, seed)
    network = model.spare_network if model.paths is None else model.paths.network
    triples = held.graph.triples
    shown = replace(
        held.graph, triples={**triples, "train": torch.cat([triples["train"], held.shown])}
    )
    model.mark_unlearned(held.entities)
    answers_known = model.paths is not None
    model.set_paths(build_channel(network or load_pretrained(), shown, answers_known))
    is_held = ~model.is_learned
    facts = with_inverses(held.asked, graph.num_relations)
    sides = {
        "what a held-out entity is related to": is_held[facts[:, 0]] & ~is_held[facts[:, 2]],
        "which held-out entity is related": ~is_held[facts[:, 0]] & is_held[facts[:, 2]],
    }
    known = known_tails_in(graph)
    found: dict[tuple[str, str], float] = {}
    for side, is_chosen in sides.items():
        ranks = rank_by_channel(model, facts[is_chosen], known)
        found |= {(side, name): float((1 / each).mean()) for name, each in ranks.items()}
        print(f"seed {seed}, {side}: {int(is_chosen.sum())} questions", file=sys.stderr, flush=True)
    return found


def _train(graph: Graph, tables: Mapping[str, FeatureTable], params: Params, seed: int) -> IMF:
    trainer = train_model(graph, tables, params, seed)
    if params.paths.use != "off":
        fit_paths(trainer, find_network(params.paths.weights), params.paths)
    return trainer.model


@torch.no_grad()
def rank_by_channel(model: IMF, facts: Tensor, known: KnownTails) -> dict[str, Tensor]:
    """Ranks tails by each channel, whether or not it takes part, and by the decision.

    An entity answers a query about itself only where train has loops of the relation.

    Args:
        model: With unlearned entities.
        facts: (head, relation with inverses, tail), shape: (N, 3), dtype: long.
        known: Known answers, which are left out.

    Returns:
        Realistic ranks by channel and by `DECISION` and `MIXED`, shape: (N,), dtype: float64.
    """
    scorer, device = Scorer(model), model.is_learned.device
    everyone = torch.arange(model.num_entities, device=device)
    parts: dict[str, list[Tensor]] = {}
    for batch in facts.split(BATCH):
        queries, tails = batch[:, :2], batch[:, 2:]
        heads, relations = to_device(queries, device).split(1, dim=1)
        is_own = (heads == everyone) & ~model.has_loops[relations]
        scores = {
            name: each.masked_fill(is_own, NO_ANSWER_LOGIT).log_softmax(dim=1)
            for name, each in model.logits(queries, everyone).items()
        }
        if "textual" in scores:
            scores[MIXED] = scores["textual"] + scores[CHANNEL]
        scores[DECISION] = scorer.score_all_tails(queries).combined
        rows, others = known.lookup(queries)
        is_other = others != tails[rows, 0]
        for name, table in scores.items():
            table = table.cpu().clamp_min(NO_ANSWER_LOGIT)  # noqa: PLW2901
            truth = table.gather(1, tails)
            table[rows[is_other], others[is_other]] = -torch.inf
            above, equal = (table > truth).sum(dim=1), (table == truth).sum(dim=1)
            parts.setdefault(name, []).append(1 + above + (equal.double() - 1) / 2)
    return {name: torch.cat(each) for name, each in parts.items()}


if __name__ == "__main__":
    run_stage(main)
