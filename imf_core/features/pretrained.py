"""What image and text encoders from Transformers have in common: loading, device, output.

Whatever keeps a model from being loaded becomes one error that says what to set.
"""

import errno
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor
from transformers.utils import logging as transformers_logging

from imf_core.config import ImageFeaturesParams, TextFeaturesParams
from imf_core.device import resolve_device
from imf_core.errors import DataError, ModelUnavailableError
from imf_core.features.model_source import ModelSource


@contextmanager
def loading(source: ModelSource) -> Iterator[None]:
    """Turns whatever keeps a model from being loaded into one error with a remedy.

    Raises:
        ModelUnavailableError: In place of the errors of Transformers and the hub client.
    """
    verbosity = transformers_logging.get_verbosity()
    # Else half of a CLIP is loaded under a warning that the other half is not used.
    transformers_logging.set_verbosity(logging.ERROR)
    had_progress_bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnavailableError(_advice(source, reason)) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
        if had_progress_bar:
            transformers_logging.enable_progress_bar()


def require_weights(source: ModelSource, missing_keys: Sequence[str]) -> None:
    """Refuses a model some of whose weights were made up at random for want of saved ones.

    Raises:
        ModelUnavailableError: If there are such weights.
    """
    if missing_keys:
        reason = f"{len(missing_keys)} weights are not in it, {min(missing_keys)} among them"
        raise ModelUnavailableError(_advice(source, reason))


def choose_device(
    source: ModelSource, params: ImageFeaturesParams | TextFeaturesParams
) -> Literal["cpu", "cuda"]:
    """Decides where vectors are computed, by this process or by its workers.

    Workers are asked for CUDA if `device` says so, whether or not this machine has any; `auto` is
    what this machine has, so that all of them take the same.

    Raises:
        ConfigError: If this process is to use CUDA and there is none.
    """
    if params.ray_workers and params.device == "cuda":
        return "cuda"
    device = resolve_device(params.device, f"{source.section}.device")
    return "cuda" if device.type == "cuda" else "cpu"


def describe_encoder(source: ModelSource) -> dict[str, str]:
    """Says which model and which releases the vectors depend on."""
    return {
        **source.identity(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def choose_dtype(device: torch.device) -> torch.dtype:
    """Half precision on CUDA, single on a CPU."""
    return torch.float16 if device.type == "cuda" else torch.float32


def unit_rows(vectors: Tensor, source: ModelSource) -> np.ndarray:
    """Scales each row to length one.

    Args:
        vectors: shape: (n, F), any float dtype, on any device.
        source: The model, for the error.

    Returns:
        shape: (n, F), dtype: float32.

    Raises:
        DataError: If a number is not finite.
    """
    rows = vectors.float()
    if not bool(torch.isfinite(rows).all()):
        raise DataError(
            f"{source.section}: the model {source.location!r} gave numbers that are not finite; "
            f"set {source.section}.device in params.yaml to cpu (single precision) or another model"
        )
    unit: np.ndarray = torch.nn.functional.normalize(rows, dim=1).cpu().numpy()
    return unit


def _advice(source: ModelSource, reason: str) -> str:
    """Words the one error about a model that cannot be loaded."""
    where = f" at revision {source.revision}" if source.revision else ""
    remedy = (
        f"check {source.section}.model and {source.section}.revision, and the network (with "
        "HF_HUB_OFFLINE=1 only models fetched before are found)"
        if source.revision
        else f"check what is in the directory that {source.section}.model names (config, "
        "tokenizer or image processor, and weights as safetensors)"
    )
    return (
        f"{source.section}.model in params.yaml: {source.location!r}{where} cannot be loaded: "
        f"{reason}\n{remedy}; or set {source.section}.model to {source.builtin}, which needs no "
        "weights. Finished work is kept."
    )
