"""One training step: plan, loss, gradients, optimisers, moving average of the weights.

Several processes take the same step: they sum their gradients, then each updates its own weights.
torch's `DistributedDataParallel` does not fit: it averages gradients, and it sends the row numbers
of sparse gradients, which are the same in every process.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.sparse import check_sparse_tensor_invariants

from imf_core.base.config import TrainingSpec, TrainParams
from imf_core.base.device import ALONE, Processes
from imf_core.model.imf import IMF
from imf_core.training.batches import Batch
from imf_core.training.objective import Objective, Planner

WARM_UP = 9
"""The first steps keep 1/10, 2/11, ... of the average, until that exceeds the decay."""

ROWS_AT_ONCE = 1 << 16
"""Rows of a table updated at once, which bounds the memory."""


class WeightAverage:
    """Averages a model's weights; the average is validated and saved.

    At a constant learning rate the weights end up moving around an optimum; their average is nearer
    to it (Polyak and Juditsky, SIAM J. Control Optim. 1992, DOI 10.1137/0330046). torch's
    `AveragedModel` is no option, since it copies the frozen features, and again at every step.

    Tables with sparse gradients are averaged row by row: while a row does not change, its average
    approaches it by a closed form, so it is enough to apply that before the row changes again. The
    cost of a step depends on the rows it touches, not on the size of the table.

    Args:
        model: The average starts at its current weights.
        decay: Weight of the old average at each step, at least 0 (no averaging) and below 1. Early
            steps use less, so the initial weights soon lose their influence.

    Attributes:
        model: The averaged model; it shares the frozen features with the trained one. Unchanged
            rows are up to date after `catch_up`.
        steps: Number of steps so far.
    """

    def __init__(self, model: IMF, decay: float) -> None:
        self.model = copy.deepcopy(model, {id(buffer): buffer for buffer in model.buffers()})
        self.decay = decay
        self.steps = 0
        self._pairs = list(zip(self.model.parameters(), model.parameters(), strict=True))
        # Last averaged step of each row, by number of the table.
        self._up_to: dict[int, Tensor] = {}

    @torch.no_grad()
    def catch_up_with_gradients(self) -> None:
        """Updates the averages of the rows that the next step changes; call it before the step."""
        for number, (_, weight) in enumerate(self._pairs):
            rows = _rows_with_gradient(weight)
            if rows is not None:
                if number not in self._up_to:
                    self._up_to[number] = torch.full((len(weight),), self.steps)
                self._catch_up(number, rows)
            elif number in self._up_to:  # this step changes the whole table
                self._catch_up(number, self._resting(number))

    @torch.no_grad()
    def update(self) -> None:
        """Adds the model's weights to the average after a step."""
        self.steps += 1
        share = 1.0 - self._decay_at(self.steps)
        for number, (average, weight) in enumerate(self._pairs):
            rows = _rows_with_gradient(weight)
            if rows is None:
                average.lerp_(weight, share)
                if number in self._up_to:
                    self._up_to[number].fill_(self.steps)
                continue
            average.index_copy_(0, rows, average[rows].lerp_(weight[rows], share))
            self._up_to[number][rows] = self.steps

    @torch.no_grad()
    def catch_up(self) -> None:
        """Updates the averages of all rows; call it before using the average."""
        for number in self._up_to:
            self._catch_up(number, self._resting(number))

    def _decay_at(self, step: int) -> float:
        """Returns the decay at a step, counted from one."""
        return min(self.decay, step / (WARM_UP + step))

    def _resting(self, number: int) -> Tensor:
        """Returns the rows of a table with an outdated average, shape: (N,), dtype: long."""
        return (self._up_to[number] < self.steps).nonzero().flatten()

    def _catch_up(self, number: int, rows: Tensor) -> None:
        """Averages rows of a table over the steps in which they did not change."""
        average, weight = self._pairs[number]
        up_to = self._up_to[number]
        for some in rows.split(ROWS_AT_ONCE):
            now = torch.tensor(self.steps)
            remaining = (self._log_remaining(now) - self._log_remaining(up_to[some])).exp()
            share = (1.0 - remaining).float().unsqueeze(1)
            average.index_copy_(0, some, torch.lerp(average[some], weight[some], share))
            up_to[some] = self.steps

    def _log_remaining(self, steps: Tensor) -> Tensor:
        """Returns the sum of the log decays up to some steps, dtype: float64.

        While s / (w + s) is the smaller of the two decays, their product over s is s! w! / (s + w)!
        """
        turn = math.floor(WARM_UP * self.decay / (1.0 - self.decay))
        early = steps.double().clamp_max(turn)
        late_log = math.log(max(self.decay, torch.finfo(torch.float64).tiny))
        warm = torch.lgamma(early + 1) - torch.lgamma(early + WARM_UP + 1)
        return warm + (steps - early) * late_log


def _rows_with_gradient(weight: nn.Parameter) -> Tensor | None:
    """Returns the rows of a sparse gradient, None if it is dense or missing."""
    if weight.grad is None or not weight.grad.is_sparse:
        return None
    weight.grad = weight.grad.coalesce()
    return weight.grad.indices()[0]


TABLE_SUFFIXES = (".table.weight", ".absent.weight", ".relations")
"""Parameters with one row per entity or relation, trained with Adagrad."""


class TrainingStep:
    """Trains a model batch by batch.

    Args:
        model: Trained in place, on `device`.
        spec: Parameters of the training.
        device: Device of model and step.
        processes: Share the batch.

    Attributes:
        model: The model.
        average: The moving average of its weights; call `average.catch_up` before using it.
        optimizers: Adagrad and Adam, each if it has parameters.
    """

    def __init__(
        self,
        model: IMF,
        spec: TrainingSpec,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        train = spec.train
        self.model = model
        self.device = device
        self.processes = processes
        use_bfloat16 = device.type == "cuda" and train.precision == "bfloat16"
        self.dtype = torch.bfloat16 if use_bfloat16 else torch.float32
        self.planner = Planner(model, train.sampled_candidates, device, processes)
        self.objective = Objective(model, spec, self.dtype, processes)
        self.optimizers = _make_optimizers(model, train)
        self.average = WeightAverage(model, train.average_decay)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Takes a step.

        Args:
            batch: On the CPU.
            generator: CPU generator for sampled candidates.

        Returns:
            This process's part of the loss before the step, a scalar on the device. The call does
            not wait for it.
        """
        plan = self.planner.plan(batch, generator)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with torch.autocast(self.device.type, self.dtype, self.dtype != torch.float32):
            loss = self.objective(plan)
        loss.backward()
        self._add_up_gradients()
        self.average.catch_up_with_gradients()
        with check_sparse_tensor_invariants(False):  # optimisers make sparse tensors of ours
            for optimizer in self.optimizers:
                optimizer.step()
        self.average.update()
        return loss.detach()

    @torch.no_grad()
    def _add_up_gradients(self) -> None:
        """Sums the gradients over all processes."""
        if self.processes.count == 1:
            return
        gradients = []
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                # Rows of a sparse gradient are the candidates, the same in every process.
                is_sparse = parameter.grad.is_sparse
                parameter.grad = parameter.grad.coalesce() if is_sparse else parameter.grad
                gradients.append(parameter.grad.values() if is_sparse else parameter.grad)
        self.processes.all_reduce(gradients)


def _make_optimizers(model: IMF, params: TrainParams) -> list[torch.optim.Optimizer]:
    """Returns Adagrad for tables of entities and relations, Adam for the rest.

    Adagrad's per-coordinate steps suit tables whose rows differ much in frequency; ComplEx-N3 is
    trained with it. It leaves rows without a gradient unchanged. The decision's parameters are
    fitted, not trained.
    """
    tables: list[nn.Parameter] = []
    networks: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if name.startswith("decision."):
            continue
        (tables if name.endswith(TABLE_SUFFIXES) else networks).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if tables:
        optimizers.append(torch.optim.Adagrad(tables, lr=params.embedding_learning_rate))
    if networks:
        optimizers.append(torch.optim.Adam(networks, lr=params.network_learning_rate, fused=True))
    return optimizers
