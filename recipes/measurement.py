"""Measures one row of the table with one seed: trains, selects on valid, ranks test once.

A row may train several models under one decision, the control that separates fusion from
ensembling. Training resumes after a kill, and its processor time adds up.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imf_core.base.artifacts import read_json, write_json
from imf_core.base.config import DecisionParams, SettledParams
from imf_core.base.device import explain_out_of_memory
from imf_core.evaluation.metrics import by_degree, by_media, overall_metrics
from imf_core.evaluation.ranking import RankingScorer, RankTable
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import DEGREE_BINS, Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.decision import DecisionFusion
from imf_core.model.imf import IMF
from imf_core.model.kernels import NO_ANSWER_LOGIT
from imf_core.model.saved import build_model
from imf_core.model.scorer import ChannelScores, Scorer
from imf_core.training.checkpoint import Checkpoints, find_checkpoints, training_values
from imf_core.training.decision_fit import fit_decision, score_held_out
from imf_core.training.trainer import Progress, Record, Trainer
from recipes.environment import describe_environment
from recipes.recipe import Overrides
from recipes.rows import SEEDS_APART, Row
from recipes.store import Basis, Measurement, ModelRun
from stages.evaluate import rank_held_out

CODE = ("imf_core", "stages", "recipes", ":!recipes/results")
"""Code that a result depends on; params.yaml is read from the commit."""


def measure_row(
    dataset: str,
    row: Row,
    params: SettledParams,
    overrides: Overrides,
    command: str,
    graph: Graph,
    tables: dict[str, FeatureTable],
    inputs: Iterable[Path],
    checkpoint_folder: Path,
) -> tuple[Measurement, RankTable]:
    """Trains the models of a row and ranks test.

    Args:
        dataset: The recipe's name.
        row: The row.
        params: Parameters of the row and the seed.
        overrides: Parameters that differ from params.yaml, for the record.
        command: Command of the measurement, for the record.
        graph: The prepared graph.
        tables: Features by modality.
        inputs: Files of graph and features.
        checkpoint_folder: Folder of training states; those of this row are deleted at the end.

    Returns:
        The measurement, and the ranks of test.
    """
    inputs = list(inputs)
    seeds = [params.train.seed + SEEDS_APART * number for number in range(row.num_models)]
    scorers, models, states = [], [], []
    with explain_out_of_memory("lower train.batch_size or model.dim"):
        for seed in seeds:
            train = params.train.model_copy(update={"seed": seed})
            of_seed = params.model_copy(update={"train": train})
            states.append(find_checkpoints(checkpoint_folder, inputs, of_seed))
            model, run = train_model(of_seed, graph, tables, states[-1])
            scorers.append(Scorer(model))
            models.append(run)
        scorer, decision = _combine(scorers, graph, params)
        ranked = rank_held_out(scorer, graph, params.evaluate.batch_size)
    for state in states:
        state.clear()
    is_present = {name: each.is_present.numpy() for name, each in tables.items()}
    measurement = Measurement(
        dataset=dataset,
        row=row.name,
        seed=params.train.seed,
        overrides=overrides,
        modalities=list(params.model.modalities),
        command=command,
        environment={**describe_environment(CODE), "device": _name_device(scorer.device)},
        threads=torch.get_num_threads(),
        basis=find_basis(params, graph, tables),
        models=models,
        weights=_global_weights(scorer.channel_names, decision),
        test=overall_metrics(ranked["test"]),
        valid=overall_metrics(ranked["valid"]),
        by_degree=by_degree(ranked["test"], graph),
        by_media=by_media(ranked["test"], is_present),
    )
    return measurement, ranked["test"]


def find_basis(params: SettledParams, graph: Graph, tables: Mapping[str, FeatureTable]) -> Basis:
    """Returns the inputs that the figures of a row depend on.

    Args:
        params: Parameters of the row and the seed.
        graph: The prepared graph.
        tables: Features by modality; other modalities than the row's are ignored.
    """
    return Basis(
        params=training_values(params),
        graph=f"{graph.fingerprint} {graph.facts_digest} {graph.test_digest}",
        features={
            name: table.digest for name, table in tables.items() if name in params.model.modalities
        },
    )


def _combine(
    scorers: list[Scorer], graph: Graph, params: SettledParams
) -> tuple[RankingScorer, DecisionFusion]:
    """Returns the scorer and its decision."""
    if len(scorers) == 1:
        return scorers[0], scorers[0].model.decision
    together = fit_ensemble(scorers, graph, params.decision, params.evaluate.batch_size)
    return together, together.decision


def _global_weights(channel_names: tuple[str, ...], decision: DecisionFusion) -> dict[str, Any]:
    """Returns the global weight of each channel."""
    weights = decision.global_logits.detach().softmax(dim=0).tolist()
    return dict(zip(channel_names, weights, strict=True))


def _name_device(device: torch.device) -> str:
    """Returns the name of a GPU, `cpu` for a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class Stopwatch:
    """Counts the seconds of work that may be killed and resumed.

    Args:
        path: File of the seconds so far, beside the state of the work.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = read_json(path) if path.exists() else [0.0, 0.0]
        self._starts = time.process_time(), time.perf_counter()

    def read(self) -> list[float]:
        """Returns processor seconds and wall-clock seconds."""
        now = time.process_time(), time.perf_counter()
        return [
            before + end - start
            for before, end, start in zip(self._before, now, self._starts, strict=True)
        ]

    def save(self) -> None:
        """Saves the seconds so far; call it when the work's state is saved."""
        write_json(self._path, self.read())


def train_model(
    params: SettledParams, graph: Graph, tables: dict[str, FeatureTable], checkpoints: Checkpoints
) -> tuple[IMF, ModelRun]:
    """Trains a model as the stage `train` does, without paths, and selects it on valid.

    Args:
        params: Parameters of the row; `train.processes` is ignored.
        graph: Train and valid are read.
        tables: Features by modality.
        checkpoints: Training states; the caller clears them.

    Returns:
        The selected model and the record of its training.
    """
    watch = Stopwatch(checkpoints.folder / "seconds.json")
    torch.manual_seed(params.train.seed)
    model = build_model(graph, tables, params.model, params.fusion)
    trainer = Trainer(model, graph, params, checkpoints)
    progress = trainer.fit(lambda _: watch.save())
    process_seconds, wall_seconds = watch.read()
    return model, ModelRun(
        seed=params.train.seed,
        selected_epoch=progress.best_epoch,
        trained_epochs=progress.epoch,
        process_seconds=process_seconds,
        wall_seconds=wall_seconds,
        curve=_draw_curve(progress),
    )


def _draw_curve(progress: Progress) -> list[Record]:
    """Returns the validations without the decision weights."""
    return [
        {key: value for key, value in record.items() if not key.startswith("weight_")}
        for record in progress.history
    ]


class Ensemble:
    """Combines the channels of several models; a `RankingScorer` and a `ProbabilityScorer`.

    Args:
        scorers: Scorers of models of one graph, on one device.
        decision: Decision over the channels of all models.
    """

    def __init__(self, scorers: Sequence[Scorer], decision: DecisionFusion) -> None:
        self.scorers = scorers
        self.decision = decision.to(scorers[0].device)
        self.device = scorers[0].device
        self.shard = scorers[0].shard
        self.channel_names = tuple(
            f"{name} {number}"
            for number, scorer in enumerate(scorers, start=1)
            for name in scorer.channel_names
        )

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once, at most `wanted`."""
        least = min(scorer.probability_batch_size(wanted) for scorer in self.scorers)
        return max(1, least // len(self.scorers))

    probability_batch_size = batch_size

    @torch.no_grad()
    def score_all_tails(self, queries: Tensor) -> ChannelScores:
        """Scores every entity as the tail of each query; see `Scorer.score_all_tails`."""
        parts = [scorer.score_all_tails(queries) for scorer in self.scorers]
        log_probs = torch.cat([part.log_probs for part in parts], dim=1)
        takes_part = torch.cat([part.takes_part for part in parts], dim=1)
        pooled = self.decision(log_probs, queries.to(self.device), takes_part)
        pooled = pooled.where(parts[0].combined.isfinite(), -torch.inf)
        return ChannelScores(log_probs, takes_part, pooled.log_softmax(dim=1))

    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Scores queries by each channel, then by the decision; see `RankingScorer`.

        Scores are finite; impossible answers rank last.
        """
        scores = self.score_all_tails(queries)
        is_possible = scores.combined.isfinite()
        for each in (*scores.log_probs.unbind(dim=1), scores.combined):
            yield each.where(is_possible, NO_ANSWER_LOGIT)


def fit_ensemble(
    scorers: Sequence[Scorer], graph: Graph, params: DecisionParams, batch_size: int
) -> Ensemble:
    """Combines models under one decision fitted on valid.

    Args:
        scorers: Scorers of trained models of the graph.
        graph: Train and valid are read.
        params: Section `decision` of the parameters.
        batch_size: Queries scored at once.
    """
    num_channels = sum(len(scorer.channel_names) for scorer in scorers)
    degree_bins = scorers[0].model.decision.degree_bins
    decision = DecisionFusion(num_channels, graph.num_relations, degree_bins, len(DEGREE_BINS))
    together = Ensemble(scorers, decision)
    known = known_tails_in(graph, ("train", "valid"))
    held_out = score_held_out(
        together, graph.triples["valid"], known, graph.num_relations, batch_size
    )
    fit_decision(together.decision, held_out, params)
    return together
