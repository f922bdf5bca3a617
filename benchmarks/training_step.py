"""One optimisation step, as `Trainer` does it."""

import torch
from torch import Tensor

from imf_core.config import FusionParams, TrainParams
from imf_core.model.imf import IMF
from imf_core.training.averaging import WeightAverage
from imf_core.training.batches import Batch
from imf_core.training.objective import Objective
from imf_core.training.trainer import _optimizers


class TrainingStep:
    """Loss, gradients, optimisers and the moving average of the weights.

    Args:
        model: Trained in place.
        train: Section `train` of the parameters.
        fusion: Section `fusion` of the parameters.
        device: Where the model is.
    """

    def __init__(
        self, model: IMF, train: TrainParams, fusion: FusionParams, device: torch.device
    ) -> None:
        self.model = model.to(device)
        self.objective = Objective(model, train, fusion, torch.float32)
        self.optimizers = _optimizers(model, train)
        self.average = WeightAverage(model, train.average_decay)

    def __call__(self, batch: Batch) -> Tensor:
        """Takes a step and returns the loss before it."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss: Tensor = self.objective(batch)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(self.model)
        return loss.detach()
