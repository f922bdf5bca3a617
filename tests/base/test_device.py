"""Devices by name, and a full device."""

import pytest
import torch

from imf_core.base import device
from imf_core.base.device import concatenate_rows, explain_out_of_memory, resolve_device
from imf_core.base.errors import OutOfMemoryError


@pytest.mark.parametrize(("is_available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_where_there_is_one(
    is_available: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_available)
    assert resolve_device("auto", "train.device") == torch.device(expected)


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nDetails"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 99 bytes"),
        MemoryError("Unable to allocate 8.00 TiB for an array"),
    ],
)
def test_a_full_device_is_an_error_with_its_remedy(failure: RuntimeError) -> None:
    message = r"out of memory \(.*allocate.*\); in params\.yaml, lower train\.batch_size"
    with (
        pytest.raises(OutOfMemoryError, match=message) as caught,
        explain_out_of_memory("lower train.batch_size"),
    ):
        raise failure
    assert "Details" not in str(caught.value)


def test_an_allocation_no_machine_has_room_for_is_recognised() -> None:
    with pytest.raises(OutOfMemoryError), explain_out_of_memory("lower model.dim"):
        torch.empty(1 << 60)


def test_any_other_failure_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="shape"), explain_out_of_memory("lower model.dim"):
        raise RuntimeError("shape mismatch")


def test_rows_of_all_parts_are_concatenated_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "LEAST_BUFFER_ROWS", 2)
    parts = [(torch.rand(size, 3), torch.rand(size) > 0.5) for size in (1, 0, 4, 2, 9)]
    found = concatenate_rows(iter(parts))
    for one, columns in zip(found, zip(*parts, strict=True), strict=True):
        assert torch.equal(one, torch.cat(columns))
