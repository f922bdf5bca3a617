"""Pretrains the path network of the package: `python -m recipes.pretrain`.

Each step samples a subgraph of the train facts of a registered set, hides some of its facts in both
directions, and asks for their ends. The loss is that of fine-tuning. Weights are selected on valid
facts of the same sets. One thread and one seed give the same bytes; a stopped run goes on from its
last checkpoint below `.imf/pretrain`. The sets are fetched as the stage `download` does.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from imf_core.base.artifacts import atomic_path
from imf_core.base.errors import DataError
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails, with_inverses
from imf_core.paths.fine_tuning import compare_tails
from imf_core.paths.network import UNREADABLE, PathNetwork, PathSpec, save_paths
from imf_core.paths.path_graph import build_path_graph
from recipes.path_ranks import PathRanking, load_set
from recipes.subgraphs import FactIndex, index_facts, sample_subgraph
from stages.runner import run_stage, state_folder

SETS = ("fb15k-237", "wn18rr", "mkg-w")
"""Registered sets to learn from; all others are unseen."""

WEIGHTS = Path("imf_core/paths/pretrained.safetensors")
SAVE_SECONDS = 120.0
WARM_UP_STEPS = 200
FURTHER_HIDDEN = 0.3
"""Largest share of facts that a step hides beside the asked ones."""


@dataclass(frozen=True)
class Pretraining:
    """Parameters of a pretraining.

    Attributes:
        dim: Numbers per state.
        relation_layers: Layers of the relation network.
        entity_layers: Layers of the entity network.
        steps: Steps of the optimiser, one subgraph each.
        batch_size: Facts asked in a step, each in one direction.
        max_facts: Facts of the largest subgraph.
        late_max_facts: The same in the last quarter of the steps, for dense graphs.
        learning_rate: Highest learning rate of AdamW; it rises, then falls to 0.
        clip_norm: Largest norm of the gradient.
        validate_every: Steps between measurements on valid.
        valid_facts: Valid facts of each set.
        seed: Of weights and draws.
    """

    dim: int = 32
    relation_layers: int = 6
    entity_layers: int = 6
    steps: int = 45_000
    batch_size: int = 16
    max_facts: int = 8_000
    late_max_facts: int = 16_000
    learning_rate: float = 2e-3
    clip_norm: float = 1.0
    validate_every: int = 5_000
    valid_facts: int = 64
    seed: int = 0


def main() -> None:
    """Writes the weights."""
    defaults = Pretraining()
    parser = argparse.ArgumentParser(
        "python -m recipes.pretrain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, value in asdict(defaults).items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value, help=f"({value})")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help=f"weights to write ({WEIGHTS})")
    given = vars(parser.parse_args())
    out = given.pop("out")
    settings = Pretraining(**given)
    torch.set_num_threads(1)  # sums of several threads differ in the last bits
    graphs = {name: load_set(name) for name in SETS}
    state = state_folder() / "pretrain" / f"{_digest(settings)}.pt"
    run = Run(settings, [_index(graph) for graph in graphs.values()], state)
    rankings = {name: PathRanking(graph) for name, graph in graphs.items()}
    started, losses = time.monotonic(), []
    for loss in run.train():
        losses.append(loss)
        if run.step % 100 == 0:
            minutes = (time.monotonic() - started) / 60
            print(f"step {run.step}, {minutes:.1f} min: loss {mean(losses):.4f}", flush=True)
            losses.clear()
        if run.step % settings.validate_every == 0 or run.step == settings.steps:
            run.validate(rankings)
    save_paths(run.best_network(), out)
    print(f"{out}: weights of step {run.best_step}, MRR on valid {100 * run.best_mrr:.1f}")


def _index(graph: Graph) -> FactIndex:
    return index_facts(graph.triples["train"], graph.num_entities, graph.num_relations)


def _digest(settings: Pretraining) -> str:
    text = json.dumps(asdict(settings), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


class Run:
    """A pretraining that goes on from its checkpoint, if there is one."""

    def __init__(self, settings: Pretraining, sources: list[FactIndex], state: Path) -> None:
        """Reads the checkpoint `state`.

        Raises:
            DataError: If it cannot be read.
        """
        self.settings, self.sources, self.state = settings, sources, state
        torch.manual_seed(settings.seed)
        spec = PathSpec(settings.dim, settings.relation_layers, settings.entity_layers)
        self.network = PathNetwork(spec)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings.learning_rate)
        self.step, self.best_step, self.best_mrr = 0, 0, -1.0
        self.best: dict[str, Tensor] = {}
        if state.exists():
            try:
                self._restore(torch.load(state, weights_only=True))
            except UNREADABLE as error:
                raise DataError(
                    f"{state} cannot be read as a checkpoint; delete it to start over"
                ) from error

    def train(self) -> Iterator[float]:
        """Trains to the last step, and writes checkpoints; yields the loss of each step."""
        saved = time.monotonic()
        self.network.train()
        while self.step < self.settings.steps:
            yield self._take_step()
            if time.monotonic() - saved > SAVE_SECONDS or self.step == self.settings.steps:
                self.save()
                saved = time.monotonic()

    def _take_step(self) -> float:
        settings = self.settings
        # A generator per step, so that a resumed run draws what an uninterrupted one does.
        generator = torch.Generator().manual_seed((settings.seed << 32) + self.step)
        sizes = torch.tensor([len(source.triples) for source in self.sources])
        source = int(torch.multinomial(sizes.double().sqrt(), 1, generator=generator))
        is_late = self.step >= settings.steps * 3 // 4
        max_facts = settings.late_max_facts if is_late else settings.max_facts
        triples = sample_subgraph(self.sources[source], max_facts, generator)
        asked, shown = hide_facts(triples, settings.batch_size, generator)
        num_entities, num_relations = (
            int(triples[:, [0, 2]].max()) + 1,
            int(triples[:, 1].max()) + 1,
        )
        graph = build_path_graph(shown, num_entities, num_relations)
        known = build_known_tails(triples, num_entities, num_relations)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(
                (self.step + 1) / WARM_UP_STEPS, 1 - self.step / settings.steps
            )
        self.optimizer.zero_grad()
        loss = compare_tails(self.network(graph, asked[:, :2]), asked, known)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def validate(self, rankings: dict[str, PathRanking]) -> None:
        """Measures zero-shot MRR on valid, prints it, and keeps the best weights."""
        self.network.eval()
        limit = self.settings.valid_facts
        found = {
            name: each.measure_mrr(self.network, "valid", limit) for name, each in rankings.items()
        }
        self.network.train()
        words = ", ".join(f"{name} {100 * mrr:.1f}" for name, mrr in found.items())
        average = mean(found.values())
        print(f"step {self.step}: MRR on valid {100 * average:.1f} ({words})", flush=True)
        if average > self.best_mrr:
            self.best_step, self.best_mrr = self.step, average
            self.best = {name: each.clone() for name, each in self.network.state_dict().items()}
        self.save()

    def best_network(self) -> PathNetwork:
        """Returns the network with the best MRR on valid."""
        self.network.load_state_dict(self.best)
        return self.network.eval()

    def save(self) -> None:
        """Writes the checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best": self.best,
            "best_step": self.best_step,
            "best_mrr": self.best_mrr,
        }
        with atomic_path(self.state) as temporary:
            torch.save(state, temporary)

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]
        self.best_step, self.best_mrr = state["best_step"], state["best_mrr"]


def hide_facts(
    triples: Tensor, batch_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws facts to ask for, and hides them and a random share of the others.

    Args:
        triples: Facts of a subgraph, shape: (n, 3), dtype: long.
        batch_size: Facts to ask for; at most half of all.
        generator: Of the draws.

    Returns:
        The asked facts, each in one direction, shape: (B, 3), and the facts shown, shape: (m, 3).
    """
    num_relations = int(triples[:, 1].max()) + 1
    triples = triples[torch.randperm(len(triples), generator=generator)]
    count = max(1, min(batch_size, len(triples) // 2))
    asked = with_inverses(triples[:count], num_relations).view(2, count, 3)
    direction = torch.randint(2, (count,), generator=generator)
    share = FURTHER_HIDDEN * torch.rand((), generator=generator)
    is_shown = torch.rand(len(triples), generator=generator) >= share
    return asked[direction, torch.arange(count)], triples[count:][is_shown[count:]]


if __name__ == "__main__":
    run_stage(main)
