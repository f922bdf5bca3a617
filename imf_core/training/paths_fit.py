"""Adds the channel `paths` to a trained model, where valid rewards it.

The network is fine-tuned on train and its step selected on valid, alone. The model gets the channel
only if the decision ranks valid better with it, by the cross-fitting of the trainer's selection;
otherwise it keeps the network for the questions of unseen entities.

`paths.use: auto` decides by numbers of operations, not by time, so the same run decides alike. A
query passes messages over the whole graph, so scoring the best answers of the other channels alone
would cost as much: there is no cheaper re-ranking on a large graph.
"""

import copy

import torch
from torch import Tensor

from imf_core.base.config import PathsParams
from imf_core.base.sections import AUTO
from imf_core.base.terminal import track
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, find_loops, with_inverses
from imf_core.paths.channel import PathScorer, build_channel, count_pass, estimate_bytes
from imf_core.paths.fine_tuning import FineTuning, fine_tune
from imf_core.paths.network import PathNetwork
from imf_core.training.trainer import VALIDATION_BATCH, Trainer

SLOWNESS = 2
"""Time of an operation of the path network, in operations of training: the first reads memory, the
other multiplies matrices. On one core, 15e9 operations of the network take a second."""

ALWAYS = 4e12
"""Operations, times `SLOWNESS`, that the paths of any graph may take: two to three minutes."""

MAX_BYTES = 4e9
"""Memory that `paths.use: auto` may take, about."""

SELECTION_FACTS = 300
"""Facts of valid that select the step of fine-tuning, about."""

SELECT_EVERY = 20
"""Steps of fine-tuning between two rankings of them."""

PATIENCE = 3
"""Rankings without gain after which fine-tuning stops."""


PathsRecord = dict[str, float | int | str]


def estimate_costs(network: PathNetwork, trainer: Trainer, steps: int) -> tuple[float, float]:
    """Estimates operations after the training of the other channels.

    Args:
        network: The path network.
        trainer: After `fit`.
        steps: Steps of fine-tuning, at most.

    Returns:
        Operations of the paths, times `SLOWNESS`: of a query for each distinct question of train
        and valid, of fine-tuning and of its rankings; and operations of the training.
    """
    graph, train, spec = trainer.graph, trainer.params, trainer.spec.model
    triples = torch.cat(
        [graph.triples["train"], graph.triples["valid"]]
    )  # training never sees test
    queries = len(with_inverses(triples, graph.num_relations)[:, :2].unique(dim=0))
    queries += 3 * FineTuning.batch_size * steps  # forward and backward
    queries += 2 * min(len(trainer.valid), SELECTION_FACTS) * (steps // SELECT_EVERY + 1)
    dim, layers = network.spec.dim, network.spec.entity_layers
    per_query = count_pass(dim, layers, 2 * len(graph.triples["train"]), graph.num_entities)
    width = sum(spec.dim_of(name) for name in trainer.model.channels)
    candidates = min(train.sampled_candidates or graph.num_entities, graph.num_entities)
    per_epoch = 6.0 * len(trainer.rows) * candidates * width
    return float(SLOWNESS) * per_query * queries, per_epoch * trainer.progress.epoch


def is_affordable(network: PathNetwork, trainer: Trainer, steps: int) -> bool:
    """Decides whether `paths.use: auto` tries the channel, and prints why.

    Args:
        network: See `estimate_costs`.
        trainer: See `estimate_costs`.
        steps: See `estimate_costs`.
    """
    graph = trainer.graph
    sizes = len(graph.triples["train"]), graph.num_entities, graph.num_relations
    needed = FineTuning.batch_size * estimate_bytes(network.spec, *sizes)
    paths, training = estimate_costs(network, trainer, steps)
    text = f"paths would cost about {paths / training:.2g} times the training"
    is_small = needed <= MAX_BYTES
    if not is_small:
        text = f"paths would need about {needed / 1e9:.1f} GB of memory"
    is_tried = is_small and paths <= max(training, ALWAYS)
    advice = "left out; `paths.use: fine-tuned` in params.yaml adds them"
    print(f"{text}: {'tried' if is_tried else advice}", flush=True)
    return is_tried


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
    steps = 0 if params.use == "pretrained" else params.steps
    if params.use == AUTO and not is_affordable(network, trainer, steps):
        return {"use": "off"}
    network = copy.deepcopy(network).to(trainer.device).eval()
    steps = tune_paths(
        network, trainer.graph, trainer.valid, trainer.known, steps, trainer.params.seed
    )
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
        model.spare_network = network if steps else None  # else it is the pretrained one
    trainer.fit_final_decision()
    use = params.use if params.use == "pretrained" else "fine-tuned"
    record: PathsRecord = {"steps": steps, "without": without, "with": with_paths}
    return {"use": use if is_kept else "off", **record}


def tune_paths(
    network: PathNetwork, graph: Graph, valid: Tensor, known: KnownTails, steps: int, seed: int
) -> int:
    """Fine-tunes a network in place up to its best step on valid.

    Args:
        network: On its device.
        graph: Train is learned.
        valid: Facts that select, about `SELECTION_FACTS` of them, shape: (N, 3), dtype: long.
        known: Filters the ranks of valid.
        steps: At most.
        seed: Of the order of the facts.

    Returns:
        The best step, 0 for the weights as given.
    """
    if not steps:
        return 0
    device = next(network.parameters()).device
    scorer = PathScorer(build_channel(network, graph).to(device), find_loops(graph))
    some = valid[:: -(-len(valid) // SELECTION_FACTS)]

    def measure() -> float:
        scorer.channel.forget()
        table = rank_triples(scorer, some, known, graph.num_relations, VALIDATION_BATCH)
        return rank_metrics(table.ranks[COMBINED], table.num_candidates)["mrr"]

    best, best_step, best_state = measure(), 0, copy.deepcopy(network.state_dict())
    settings = FineTuning(steps=steps, seed=seed)
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
