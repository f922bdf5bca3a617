"""An exponential moving average of a model's weights along its training."""

import copy
import math

import torch
from torch import Tensor, nn

from imf_core.model.imf import IMF

WARM_UP = 9
"""The first steps keep 1/10, 2/11, ... of the average, until that exceeds the decay."""

ROWS_AT_ONCE = 1 << 16
"""Rows of a table caught up with at once, which bounds the memory for it."""


class WeightAverage:
    """Follows a model at a distance: what it holds is what gets validated and kept.

    At a constant learning rate the weights end up moving about a good place; their average lies
    nearer to it (Polyak and Juditsky, SIAM J. Control Optim. 1992, DOI 10.1137/0330046). Not
    torch's `AveragedModel`: that copies the frozen features, and again at every step.

    A table of which a step touches some rows alone (its gradient is sparse) is followed row by
    row: while a row rests, its average draws nearer to it in a way known beforehand, so that it is
    enough to catch up before the row moves again. A step thereby costs what its rows cost,
    whatever the size of the table.

    Args:
        model: Followed from where it is now.
        decay: What stays of the average at each step, at least 0 (just the model) and below 1.
            Early steps keep less, so that the start is soon forgotten.

    Attributes:
        model: The average, a model of its own; frozen features are shared with the other. Rows
            that rest are up to date after `catch_up`.
        steps: Steps taken so far.
    """

    def __init__(self, model: IMF, decay: float) -> None:
        self.model = copy.deepcopy(model, {id(buffer): buffer for buffer in model.buffers()})
        self.decay = decay
        self.steps = 0
        self._pairs = list(zip(self.model.parameters(), model.parameters(), strict=True))
        self._up_to: dict[
            int, Tensor
        ] = {}  # of tables with resting rows: averaged up to which step

    @torch.no_grad()
    def catch_up_with_gradients(self) -> None:
        """Brings the rows up to date that the coming step moves; to be called before it."""
        for number, (_, weight) in enumerate(self._pairs):
            rows = _rows_with_gradient(weight)
            if rows is not None:
                if number not in self._up_to:
                    self._up_to[number] = torch.full((len(weight),), self.steps)
                self._catch_up(number, rows)
            elif number in self._up_to:  # this step moves the whole table
                self._catch_up(number, self._resting(number))

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the model's weights after a step."""
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
        """Brings all rows up to date; to be called before the average is used."""
        for number in self._up_to:
            self._catch_up(number, self._resting(number))

    def _decay_at(self, step: int) -> float:
        """Returns what stays of the average at a step, counted from one."""
        return min(self.decay, step / (WARM_UP + step))

    def _resting(self, number: int) -> Tensor:
        """Returns the rows of a table that are not up to date, shape: (N,), dtype: long."""
        return (self._up_to[number] < self.steps).nonzero().flatten()

    def _catch_up(self, number: int, rows: Tensor) -> None:
        """Averages rows of a table over the steps through which they rested."""
        average, weight = self._pairs[number]
        up_to = self._up_to[number]
        for some in rows.split(ROWS_AT_ONCE):
            now = torch.tensor(self.steps)
            remaining = (self._log_remaining(now) - self._log_remaining(up_to[some])).exp()
            share = (1.0 - remaining).float().unsqueeze(1)
            average.index_copy_(0, some, torch.lerp(average[some], weight[some], share))
            up_to[some] = self.steps

    def _log_remaining(self, steps: Tensor) -> Tensor:
        """Returns the sum of the logarithms of the decays up to some steps, dtype: float64.

        While s / (w + s) is the smaller of the two decays, their product over s is s! w! / (s + w)!
        """
        turn = math.floor(WARM_UP * self.decay / (1.0 - self.decay))
        early = steps.double().clamp_max(turn)
        late_log = math.log(max(self.decay, torch.finfo(torch.float64).tiny))
        warm = torch.lgamma(early + 1) - torch.lgamma(early + WARM_UP + 1)
        return warm + (steps - early) * late_log


def _rows_with_gradient(weight: nn.Parameter) -> Tensor | None:
    """Returns the rows a sparse gradient holds, None where it is dense or missing."""
    if weight.grad is None or not weight.grad.is_sparse:
        return None
    weight.grad = weight.grad.coalesce()
    return weight.grad.indices()[0]
