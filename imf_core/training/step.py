"""One training step: plan, loss, gradients, optimisers, moving average."""

import torch
from torch import Tensor, nn
from torch.sparse import check_sparse_tensor_invariants

from imf_core.config import FusionParams, TrainParams
from imf_core.model.imf import IMF
from imf_core.training.averaging import WeightAverage
from imf_core.training.batches import Batch
from imf_core.training.objective import Objective
from imf_core.training.plan import Planner

TABLE_SUFFIXES = (".table.weight", ".absent.weight")
"""Parameters with one row per entity, trained with Adagrad."""


class TrainingStep:
    """Trains a model batch by batch.

    Args:
        model: Trained in place, on `device`.
        train: Section `train` of the parameters.
        fusion: Section `fusion` of the parameters.
        device: Where to compute.

    Attributes:
        model: The model.
        average: The moving average of its weights; brought up to date by `average.catch_up`.
        optimizers: Adagrad and Adam, as far as there is something for them to train.
    """

    def __init__(
        self, model: IMF, train: TrainParams, fusion: FusionParams, device: torch.device
    ) -> None:
        self.model = model
        self.device = device
        use_bfloat16 = device.type == "cuda" and train.precision == "bfloat16"
        self.dtype = torch.bfloat16 if use_bfloat16 else torch.float32
        self.planner = Planner(model, train.sampled_candidates, device)
        self.objective = Objective(model, train, fusion, self.dtype)
        self.optimizers = _make_optimizers(model, train)
        self.average = WeightAverage(model, train.average_decay)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Takes a step.

        Args:
            batch: On the CPU.
            generator: Draws the candidates where they are sampled, on the CPU.

        Returns:
            The loss before the step, a scalar on the device, which nothing has waited for.
        """
        plan = self.planner.plan(batch, generator)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with torch.autocast(self.device.type, self.dtype, self.dtype != torch.float32):
            loss = self.objective(plan)
        loss.backward()
        self.average.catch_up_with_gradients()
        with check_sparse_tensor_invariants(False):  # optimisers make sparse tensors of ours
            for optimizer in self.optimizers:
                optimizer.step()
        self.average.update()
        return loss.detach()


def _make_optimizers(model: IMF, params: TrainParams) -> list[torch.optim.Optimizer]:
    """Adagrad for free tables with a row per entity and structural relations, Adam for the rest.

    Adagrad's per-coordinate steps suit tables whose rows are met at very different rates; it is
    what ComplEx-N3 is trained with. A row without a gradient stays where it is, so that steps on
    few rows leave the others untouched. The decision's parameters are fitted, not trained.
    """
    tables: list[nn.Parameter] = []
    networks: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if name.startswith("decision."):
            continue
        is_table = name == "relation_tables.structural" or name.endswith(TABLE_SUFFIXES)
        (tables if is_table else networks).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if tables:
        optimizers.append(torch.optim.Adagrad(tables, lr=params.embedding_learning_rate))
    if networks:
        optimizers.append(torch.optim.Adam(networks, lr=params.network_learning_rate, fused=True))
    return optimizers
