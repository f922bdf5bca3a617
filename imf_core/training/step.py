"""One training step: plan, loss, gradients, optimisers, moving average.

Several processes take the same step: they sum their gradients, then each updates its own weights.
torch's `DistributedDataParallel` does not fit: it averages gradients, and it sends the row numbers
of sparse gradients, which are the same in every process.
"""

import torch
from torch import Tensor, nn
from torch.sparse import check_sparse_tensor_invariants

from imf_core.config import FusionParams, TrainParams
from imf_core.model.imf import IMF
from imf_core.processes import ALONE, Processes
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
        train: TrainParams,
        fusion: FusionParams,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.model = model
        self.device = device
        self.processes = processes
        use_bfloat16 = device.type == "cuda" and train.precision == "bfloat16"
        self.dtype = torch.bfloat16 if use_bfloat16 else torch.float32
        self.planner = Planner(model, train.sampled_candidates, device, processes)
        self.objective = Objective(model, train, fusion, self.dtype, processes)
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
        is_table = name.startswith("relation_tables.") or name.endswith(TABLE_SUFFIXES)
        (tables if is_table else networks).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if tables:
        optimizers.append(torch.optim.Adagrad(tables, lr=params.embedding_learning_rate))
    if networks:
        optimizers.append(torch.optim.Adam(networks, lr=params.network_learning_rate, fused=True))
    return optimizers
