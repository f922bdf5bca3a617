"""A step asks the device for no number: it could be on a GPU that nothing waits for.

Torch's device `meta` has shapes and no numbers, and refuses whatever would need one. It takes the
paths of a GPU through the code.
"""

import pytest
import torch
from tiny_world import small_params, tiny_graph, tiny_model

from imf_core.data.known_tails import known_tails_in
from imf_core.training.batches import build_rows
from imf_core.training.objective import Objective
from imf_core.training.plan import Planner

META = torch.device("meta")


@pytest.mark.parametrize("sampled", [0, 3])
@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy"])
@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
def test_loss_and_gradients_need_no_number_of_any_tensor(
    sampled: int, loss: str, context: str
) -> None:
    overrides = {"train.loss": loss, "model.context": context, "model.dropout": 0.1}
    params, model = small_params(overrides), tiny_model({**overrides, "fusion.rank": 5})
    batch = next(build_rows(known_tails_in(tiny_graph(), ["train"]), 2).batches(16, seed=0))
    planner = Planner(model, sampled, META)
    objective = Objective(model.to(META), params.train, params.fusion, torch.float32)
    objective(planner.plan(batch, torch.Generator())).backward()
    assert all(each.grad is not None for each in model.encoders.parameters())


@pytest.mark.parametrize("ask", [torch.Tensor.item, torch.nonzero, torch.unique])
def test_the_way_of_testing_finds_a_number_that_is_asked_for(ask: object) -> None:
    assert callable(ask)
    with pytest.raises((NotImplementedError, RuntimeError)):
        ask(torch.ones(1, device=META))
