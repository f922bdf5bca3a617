"""Adds the channel `paths` to a trained model, where valid rewards it.

The network is fine-tuned on train and its step selected on valid, alone. The model gets the channel
only if the decision ranks valid better with it, by the cross-fitting of the trainer's selection.

`paths.use: auto` decides by the operations of a query, so that every machine decides alike. A query
passes messages over the whole graph, so scoring the best answers of the other channels alone
would cost as much: there is no cheaper re-ranking on a large graph.
"""

import copy
from dataclasses import dataclass

import torch

from imf_core.base.config import PathsParams
from imf_core.base.terminal import track
from imf_core.base.typed_yaml import AUTO
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.known_tails import find_loops, with_inverses
from imf_core.paths.channel import PathScorer, build_channel, count_operations
from imf_core.paths.fine_tuning import FineTuning, fine_tune
from imf_core.paths.network import PathNetwork
from imf_core.training.trainer import VALIDATION_BATCH, Trainer

SLOWNESS = 5
"""Time of an operation of the path network on a CPU, in operations of training: the first reads
memory, the other multiplies matrices."""

ALWAYS = 5e12
"""Operations of a path network, times `SLOWNESS`, that any training may spend: about a minute."""

SELECTION_FACTS = 500
"""Facts of valid that select the step of fine-tuning, about."""

SELECT_EVERY = 10
"""Steps of fine-tuning between two rankings of them."""

PATIENCE = 3
"""Rankings without gain after which fine-tuning stops."""


PathsRecord = dict[str, float | int | str]


@dataclass(frozen=True)
class Costs:
    """Operations of a run with and without the channel.

    Attributes:
        paths: Of a path query for each distinct question of the graph, times `SLOWNESS`.
        training: Of the training of the other channels.
    """

    paths: float
    training: float

    @property
    def is_affordable(self) -> bool:
        """Whether the paths cost less than the training, or little."""
        return self.paths <= max(self.training, ALWAYS)


def estimate_costs(network: PathNetwork, trainer: Trainer) -> Costs:
    """Estimates both costs after the training of the other channels."""
    graph = trainer.graph
    per_query = count_operations(network.spec, build_channel(network, graph).graph)
    triples = torch.cat(list(graph.triples.values()))
    questions = with_inverses(triples, graph.num_relations)[:, :2].unique(dim=0)
    train, spec = trainer.params, trainer.spec.model
    width = sum(spec.dim_of(name) for name in trainer.model.channels)
    candidates = min(train.sampled_candidates or graph.num_entities, graph.num_entities)
    per_epoch = 6.0 * len(trainer.rows) * candidates * width  # forward and backward
    return Costs(
        paths=float(SLOWNESS) * per_query * len(questions),
        training=per_epoch * trainer.progress.epoch,
    )


def fit_paths(trainer: Trainer, network: PathNetwork, params: PathsParams) -> PathsRecord:
    """Adds the channel to the trainer's model if valid rewards it, and fits the decision again.

    Args:
        trainer: After `fit`, in its first process.
        network: The pretrained network; left as it is.
        params: Section `paths` of the parameters, `use` other than `off`.

    Returns:
        What was done and measured: `use` (`off` if the model has no such channel), and if the
        channel was tried, `steps` of fine-tuning and the MRR on valid `without` and `with` it.
    """
    if params.use == AUTO:
        costs = estimate_costs(network, trainer)
        text = f"paths would cost about {costs.paths / costs.training:.2g} times the training"
        if not costs.is_affordable:
            print(f"{text}: left out; `paths.use: fine-tuned` in params.yaml adds them")
            return {"use": "off"}
        print(f"{text}: tried", flush=True)
    network = copy.deepcopy(network).to(trainer.device).eval()
    steps = _tune(network, trainer, 0 if params.use == "pretrained" else params.steps)
    model, without = trainer.model, trainer.progress.best_mrr
    model.set_paths(build_channel(network, trainer.graph))
    with_paths = trainer.validate(model)["valid_mrr"]
    is_kept = with_paths > without
    print(
        f"paths, {steps} steps of fine-tuning: MRR {with_paths:.4f} on valid, {without:.4f} without"
        + ("" if is_kept else "; left out"),
        flush=True,
    )
    if not is_kept:
        model.set_paths(None)
    trainer.fit_final_decision()
    use = params.use if params.use == "pretrained" else "fine-tuned"
    record: PathsRecord = {"steps": steps, "without": without, "with": with_paths}
    return {"use": use if is_kept else "off", **record}


def _tune(network: PathNetwork, trainer: Trainer, steps: int) -> int:
    """Fine-tunes a network in place up to its best step on valid, and returns the step."""
    graph, best_step = trainer.graph, 0
    scorer = PathScorer(build_channel(network, graph).to(trainer.device), find_loops(graph))
    valid = trainer.valid[:: -(-len(trainer.valid) // SELECTION_FACTS)]

    def measure() -> float:
        scorer.channel.forget()
        table = rank_triples(scorer, valid, trainer.known, graph.num_relations, VALIDATION_BATCH)
        return rank_metrics(table.ranks[COMBINED], table.num_candidates)["mrr"]

    if not steps:
        return 0
    best, best_state = measure(), copy.deepcopy(network.state_dict())
    settings = FineTuning(steps=steps, seed=trainer.params.seed)
    losses = fine_tune(network, scorer.channel.graph, graph.triples["train"], settings)
    for step, _ in enumerate(track(losses, "fine-tuning of paths, steps", steps), 1):
        if step % SELECT_EVERY and step < steps:
            continue
        mrr = measure()
        if mrr > best:
            best, best_step, best_state = mrr, step, copy.deepcopy(network.state_dict())
        elif step - best_step >= PATIENCE * SELECT_EVERY:
            break
    network.load_state_dict(best_state)
    return best_step
