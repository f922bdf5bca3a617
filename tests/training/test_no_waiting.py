"""A step reads no number from the device, so it never waits for a GPU.

Torch's device `meta` has shapes but no numbers, and refuses operations that need one. It takes the
code paths of a GPU.
"""

import pytest
import torch
from tiny_world import small_params, tiny_graph, tiny_model

from imf_core.graph.known_tails import known_tails_in
from imf_core.training.batches import build_rows
from imf_core.training.objective import Objective, Planner
from imf_core.training.optimization import TrainingStep

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
    objective = Objective(model.to(META), params, torch.float32)
    objective(planner.plan(batch, torch.Generator())).backward()
    assert all(
        weight.grad is not None
        for channel in model.modality_channels.values()
        for weight in channel.encoder.parameters()
    )


@pytest.mark.parametrize("ask", [torch.Tensor.item, torch.nonzero, torch.unique])
def test_the_way_of_testing_finds_a_number_that_is_asked_for(ask: object) -> None:
    assert callable(ask)
    with pytest.raises((NotImplementedError, RuntimeError)):
        ask(torch.ones(1, device=META))


@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy"])
@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
def test_the_loss_in_bfloat16_is_near_that_in_float32(loss: str, context: str) -> None:
    overrides = {"train.loss": loss, "model.context": context, "fusion.rank": 5}
    params, model = small_params(overrides), tiny_model(overrides)
    batch = next(build_rows(known_tails_in(tiny_graph(), ["train"]), 2).batches(16, seed=0))
    plan = Planner(model, 0, torch.device("cpu")).plan(batch, torch.Generator())
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        model.zero_grad()
        objective = Objective(model, params, dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            value = objective(plan)
        value.backward()
        found.append(value.detach())
    torch.testing.assert_close(*found, rtol=2e-2, atol=0.0)


def make_step(overrides: dict[str, object]) -> TrainingStep:
    params = small_params(overrides)
    model = tiny_model(overrides).to("cuda").train()
    return TrainingStep(model, params, torch.device("cuda"))


def take_steps(step: TrainingStep) -> list[torch.Tensor]:
    rows = build_rows(known_tails_in(tiny_graph(), ["train"]), 2)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    return [step(batch, generator) for batch in rows.batches(16, seed=0)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is there")
@pytest.mark.parametrize("sampled", [0, 3])
@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
def test_no_step_waits_for_the_gpu(sampled: int, context: str) -> None:
    step = make_step({"train.sampled_candidates": sampled, "model.context": context})
    take_steps(step)  # the first steps set the optimisers up
    torch.cuda.set_sync_debug_mode("error")
    try:
        take_steps(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is there")
def test_the_loss_in_bfloat16_is_within_a_hundredth_of_that_in_float32() -> None:
    rough, exact = (
        torch.stack(take_steps(make_step({"train.precision": precision})))
        for precision in ("bfloat16", "float32")
    )
    torch.testing.assert_close(rough, exact, rtol=1e-2, atol=0.0)
