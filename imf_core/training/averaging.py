"""An exponential moving average of a model's weights along its training."""

import copy

import torch

from imf_core.model.imf import IMF


class WeightAverage:
    """Follows a model at a distance: what it holds is what gets validated and kept.

    At a constant learning rate the weights end up moving about a good place; their average lies
    nearer to it (Polyak and Juditsky, SIAM J. Control Optim. 1992, DOI 10.1137/0330046). Not
    torch's `AveragedModel`: that copies the frozen features, and again at every step.

    Args:
        model: Followed from where it is now.
        decay: What stays of the average at each step, at least 0 (just the model) and below 1.
            Early steps keep less, so that the start is soon forgotten.

    Attributes:
        model: The average, a model of its own; frozen features are shared with the other.
        steps: Steps taken so far.
    """

    def __init__(self, model: IMF, decay: float) -> None:
        self.model = copy.deepcopy(model, {id(buffer): buffer for buffer in model.buffers()})
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, model: IMF) -> None:
        """Takes in the weights of `model` after a step."""
        self.steps += 1
        decay = min(self.decay, self.steps / (9 + self.steps))
        for average, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1.0 - decay)
