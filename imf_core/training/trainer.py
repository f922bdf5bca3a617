"""The training loop: epochs, validation, selection, early stopping, resumption."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from imf_core.base.bounds import sample_facts
from imf_core.base.config import TrainingSpec
from imf_core.base.device import ALONE, Processes, resolve_device
from imf_core.base.errors import DivergenceError, TrainingError
from imf_core.base.sections import AUTO
from imf_core.base.terminal import track
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from imf_core.training.batches import QueryRows, build_rows
from imf_core.training.calibration_fit import calibrate
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.decision_fit import fit_decision, score_held_out
from imf_core.training.optimization import TrainingStep

VALIDATION_BATCH = 512
"""Queries scored at once in validation."""

LEAST_WAIT = 5
"""Least number of validations without gain after which `train.patience: auto` stops."""

Record = dict[str, float]


@dataclass
class Progress:
    """Progress of a training: the content of a checkpoint beside weights and optimisers.

    Attributes:
        epoch: Epochs done.
        history: One record per validation: epoch, loss, MRR on valid, combined and of each channel,
            and the global decision weights.
        losses: Mean loss of every epoch.
        best_mrr: Highest combined MRR on valid so far.
        best_epoch: Where it was reached.
        best_state: The averaged weights there; the first of several processes holds them.
    """

    epoch: int = 0
    history: list[Record] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best_mrr: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def is_still_rising(self) -> bool:
        """Whether the last epoch is the best one, so that more epochs may gain."""
        return self.best_epoch == self.epoch


class Trainer:
    """Trains a model on a graph's train facts and selects by its valid facts; never sees test.

    Validation and selection use a moving average of the weights. To select the epoch and to stop
    early, each half of valid is ranked with decision weights fitted on the other half; the decision
    weights of the selected epoch are then fitted again, on all of valid. On a large graph, a sample
    of valid takes the place of valid (`imf_core.base.bounds`).

    Several processes share every training step. The first one validates, saves, and has the
    selected weights at the end.

    Args:
        model: Its weights are trained in place.
        graph: Train and valid are read.
        spec: Parameters of the training.
        checkpoints: Folder of checkpoints; training continues from the last one.
        processes: Processes that train the model together, from the same weights.

    Attributes:
        valid: The facts of valid that are ranked, shape: (N, 3), dtype: long.

    Raises:
        TrainingError: If train or valid is empty.
    """

    def __init__(
        self,
        model: IMF,
        graph: Graph,
        spec: TrainingSpec,
        checkpoints: Checkpoints | None = None,
        processes: Processes = ALONE,
    ) -> None:
        for split, needed in (("train", 1), ("valid", 2)):
            if len(graph.triples[split]) < needed:
                raise TrainingError(
                    f"{split} holds too few facts, {len(graph.triples[split])}, at least {needed} "
                    f"are needed; add lines to the graph's {split}.txt, or remove its valid.txt "
                    "and raise prepare.valid_fraction in params.yaml"
                )
        self.spec = spec
        self.params = train = spec.train
        self.decision_params = spec.decision
        self.checkpoints = checkpoints
        self.processes = processes
        self.graph = graph
        self.num_relations = graph.num_relations
        self.device = resolve_device(train.device, "train.device")
        self.model = model.to(self.device)
        self.step = TrainingStep(self.model, spec, self.device, processes)
        self.rows = self._rows(graph)
        self.known = known_tails_in(graph, ("train", "valid"))
        self.valid = sample_facts(graph.triples["valid"], graph.num_entities, train.seed)
        self.halves = _halve(self.valid, train.seed)
        self.progress = Progress()
        self._kept: dict[str, Any] | None = None
        self._is_read = False

    def fit(
        self,
        on_validation: Callable[[Record], None] = lambda _: None,
        on_first_epoch: Callable[[float], None] = lambda _: None,
    ) -> Progress:
        """Trains until `train.epochs`, or until validations bring no gain (`train.patience`).

        A checkpoint with more epochs than `train.epochs` is ignored: training starts again.

        Args:
            on_validation: Called with each record of the history, those of a resumed run first.
            on_first_epoch: Called after the first epoch of this run with its wall-clock seconds.

        Returns:
            The progress; the first process's model holds the selected weights.

        Raises:
            DivergenceError: If the loss or a score is not finite.
            TrainingError: If a checkpoint is damaged.
            LostProcessError: If another process has ended.
        """
        self._resume()
        for record in self.progress.history:
            on_validation(record)
        with tqdm(
            total=self.params.epochs,
            initial=self.progress.epoch,
            desc="train",
            disable=None if self.processes.is_first else True,
        ) as bar:
            first_epoch, start = self.progress.epoch, time.perf_counter()
            while not self._is_finished():
                self.progress.losses.append(self._epoch())
                if self.progress.epoch == first_epoch:
                    on_first_epoch(time.perf_counter() - start)
                self.progress.epoch += 1
                bar.update()
                is_due = self.progress.epoch % self.params.validate_every == 0
                if is_due or self.progress.epoch == self.params.epochs:
                    record = self.processes.broadcast(
                        self._validate() if self.processes.is_first else {}
                    )
                    self._take_in(record)
                    if is_due:  # as a longer run does, which may go on from here
                        self._save()
                    bar.set_postfix(valid_mrr=f"{record['valid_mrr']:.4f}")
                    on_validation(record)
        if self.processes.is_first:
            self.model.load_state_dict(self.progress.best_state)
            self.fit_final_decision()
        return self.progress

    def fit_final_decision(self) -> None:
        """Fits the decision of the model on all ranked facts of valid."""
        self._fit_decision(Scorer(self.model), self.valid)

    def calibrate(self) -> Calibration:
        """Fits the calibration of the selected model, in the first process, after `fit`."""
        return calibrate(
            self.model, self.graph, self.halves, self.decision_params, VALIDATION_BATCH
        )

    def _rows(self, graph: Graph) -> QueryRows:
        known = known_tails_in(graph, ["train"])
        # A binary loss counts every tail outside the row as wrong, so its rows stay whole.
        is_softmax = self.params.loss == "cross-entropy"
        limit = self.params.positives_per_row if is_softmax else None
        return build_rows(known, limit)

    def _is_finished(self) -> bool:
        progress = self.progress
        validated = progress.history[-1]["epoch"] if progress.history else 0
        has_stalled = validated > 0 and validated - progress.best_epoch >= self._patience()
        return progress.epoch >= self.params.epochs or has_stalled

    def _patience(self) -> int:
        """Returns the number of epochs without gain after which training stops.

        `auto` waits half as long as the best epoch took, in whole validations, and at least
        `LEAST_WAIT` of them.
        """
        every = self.params.validate_every
        if self.params.patience == AUTO:
            return max(LEAST_WAIT, self.progress.best_epoch // (2 * every)) * every
        return self.params.patience * every

    def _epoch(self) -> float:
        """Trains one epoch and returns the mean loss of its steps."""
        self.model.train()
        # Drawn for each epoch: a resumed run sees the numbers the uninterrupted one saw.
        sequence = np.random.SeedSequence([self.params.seed, self.progress.epoch])
        seed, candidate_seed = (int(number) for number in sequence.generate_state(2))
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(candidate_seed)
        total = torch.zeros((), device=self.device)
        size = self.params.batch_size
        steps = -(-len(self.rows) // size)
        for batch in track(
            self.rows.batches(size, seed),
            f"steps of epoch {self.progress.epoch + 1}",
            steps,
            is_shown=self.processes.is_first,
        ):
            total += self.step(batch, generator)
        self.processes.all_reduce([total])
        mean = total.item() / steps
        if not math.isfinite(mean):
            raise DivergenceError(
                f"the loss is not finite in epoch {self.progress.epoch + 1}; lower "
                "train.embedding_learning_rate or train.network_learning_rate in params.yaml"
            )
        return mean

    def _validate(self) -> Record:
        self.step.average.catch_up()
        return self.validate(self.step.average.model)

    def validate(self, model: IMF) -> Record:
        """Ranks each half of valid with a decision fitted on the other.

        Args:
            model: Its decision is fitted, by the second half in the end.

        Returns:
            A record of `Progress.history`.
        """
        scorer = Scorer(model)
        tables, weights = [], []
        for fitted, ranked in (self.halves, self.halves[::-1]):
            self._fit_decision(scorer, fitted)
            weights.append(model.decision.global_logits.detach().softmax(dim=0))
            tables.append(
                rank_triples(
                    scorer, ranked, self.known, self.num_relations, VALIDATION_BATCH, "validation"
                )
            )
        record: Record = {"epoch": self.progress.epoch, "loss": self.progress.losses[-1]}
        num_candidates = np.concatenate([table.num_candidates for table in tables])
        for name in tables[0].ranks:
            rank = np.concatenate([table.ranks[name] for table in tables])
            key = "valid_mrr" if name == COMBINED else f"valid_mrr_{name}"
            record[key] = rank_metrics(rank, num_candidates)["mrr"]
        mean_weights = torch.stack(weights).mean(dim=0).tolist()
        for name, weight in zip(model.channel_names, mean_weights, strict=True):
            record[f"weight_{name}"] = weight
        return record

    def _take_in(self, record: Record) -> None:
        """Adds a validation to the history, and keeps the weights if they are the best so far."""
        self.progress.history.append(record)
        if record["valid_mrr"] <= self.progress.best_mrr:
            return
        self.progress.best_mrr = record["valid_mrr"]
        self.progress.best_epoch = self.progress.epoch
        if self.processes.is_first:
            state = self.step.average.model.state_dict()
            self.progress.best_state = {key: value.cpu().clone() for key, value in state.items()}

    def _fit_decision(self, scorer: Scorer, triples: Tensor) -> None:
        """Fits the decision of the scorer's model on held-out facts."""
        held_out = score_held_out(scorer, triples, self.known, self.num_relations, VALIDATION_BATCH)
        fit_decision(scorer.model.decision, held_out, self.decision_params)

    def _save(self) -> None:
        if self.checkpoints is None or not self.processes.is_first:
            return
        state: dict[str, Any] = dict(vars(self.progress))
        state["model"] = self.model.state_dict()
        state["average"] = self.step.average.model.state_dict()
        state["steps"] = self.step.average.steps
        state["optimizers"] = [optimizer.state_dict() for optimizer in self.step.optimizers]
        self.checkpoints.save(state)

    def find_start(self) -> tuple[int, int]:
        """Returns the epoch of the checkpoint, 0 without one, and the epoch training goes on from.

        Reads the checkpoint, from which `fit` then goes on. The two differ where it has more
        epochs than `train.epochs`.

        Raises:
            TrainingError: If the checkpoint is damaged.
        """
        self._kept = self.checkpoints.load() if self.checkpoints else None
        self._is_read = True
        epoch = int(self._kept["epoch"]) if self._kept else 0
        return epoch, epoch if epoch <= self.params.epochs else 0

    def _resume(self) -> None:
        if not self._is_read:
            self.find_start()
        state, self._kept, self._is_read = self._kept, None, False
        if state is not None and state["epoch"] > self.params.epochs:
            state = None
        epoch = state["epoch"] if state else 0
        if epoch != self.processes.broadcast(epoch):
            raise TrainingError(
                f"one process goes on from epoch {epoch}, another from a later one: another run of "
                "the same parameters saves its states meanwhile; run the stage again"
            )
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.step.average.model.load_state_dict(state["average"])
        self.step.average.steps = state["steps"]
        for optimizer, saved in zip(self.step.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(copy.deepcopy(saved))
        self.progress = Progress(**{name: state[name] for name in vars(self.progress)})


def _halve(valid: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Splits valid facts at random into two halves."""
    order = torch.randperm(len(valid), generator=torch.Generator().manual_seed(seed))
    middle = len(valid) // 2
    return valid[order[:middle]], valid[order[middle:]]
