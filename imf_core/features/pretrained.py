"""What image and text encoders from Transformers have in common: loading, device, output.

Whatever keeps a model from being loaded, or from computing, becomes one error that says what to
set.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers.utils import logging as transformers_logging

from imf_core.config import ImageFeaturesParams, TextFeaturesParams
from imf_core.device import explain_out_of_memory, resolve_device
from imf_core.errors import DataError, ImfError, ModelUnavailableError, find_full_disk
from imf_core.features.model_source import ModelSource

MAX_REASON = 600
"""Characters of a library's reason; it may hold the listing of a whole directory."""

_SHAPE_ERRORS = (IndexError, RuntimeError)
"""What PyTorch raises where an input does not fit a model's sizes."""


@contextmanager
def loading(source: ModelSource) -> Iterator[None]:
    """Turns whatever keeps a model from being loaded into one error with a remedy.

    Raises:
        ImfError: In place of the errors of Transformers and the hub client.
    """
    verbosity = transformers_logging.get_verbosity()
    # Else half of a CLIP is loaded under a warning that the other half is not used.
    transformers_logging.set_verbosity(logging.ERROR)
    had_progress_bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    remedy = (
        f"check {source.section}.model and {source.section}.revision, and the network (with "
        "HF_HUB_OFFLINE=1 only models fetched before are found)"
        if source.revision
        else f"check what is in the directory that {source.section}.model names (config, "
        "tokenizer or image processor, and weights as safetensors)"
    )
    try:
        with _explained(source, "cannot be loaded", remedy):
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if had_progress_bar:
            transformers_logging.enable_progress_bar()


@contextmanager
def computing(source: ModelSource, inputs: str) -> Iterator[None]:
    """Turns whatever a library raises while a model computes into one error with a remedy.

    Args:
        source: The model.
        inputs: What it computes from, such as "64 texts".

    Raises:
        ImfError: In place of the errors of Transformers, PyTorch and the tokenizers.
    """
    if source.section == "text_features":
        remedy = "lower text_features.max_tokens, if the model takes no texts of that length"
        causes: tuple[type[Exception], ...] = _SHAPE_ERRORS
    else:
        remedy = (
            "check that the image processor (preprocessor_config.json) and the weights "
            "(config.json) are of one model and one picture size"
        )
        causes = (*_SHAPE_ERRORS, ValueError)
    with _explained(source, f"fails on {inputs}", remedy, causes):
        yield


@contextmanager
def _explained(
    source: ModelSource,
    failure: str,
    remedy: str,
    causes: tuple[type[Exception], ...] = (Exception,),
) -> Iterator[None]:
    """The one place where an exception of a library becomes the message of the stage.

    A full disk and errors of our own pass. Only `causes` are answered with the remedy, since it
    would lead astray from a mistake in a program.
    """
    try:
        with explain_out_of_memory(f"lower {source.section}.batch_size or set a smaller model"):
            yield
    except ImfError:
        raise
    except Exception as error:
        if find_full_disk(error):
            raise
        reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
        where = f" at revision {source.revision}" if source.revision else ""
        is_cause = isinstance(error, causes) and not isinstance(error, NotImplementedError)
        if not is_cause:
            reason = f"{type(error).__name__}: {reason}"
        advice = f"{remedy}; or set" if is_cause else "set"
        raise ModelUnavailableError(
            f"{source.section}.model in params.yaml: {source.location!r}{where} {failure}: "
            f"{reason}\n{advice} {source.section}.model to {source.builtin}, which needs "
            "no weights. Finished work is kept."
        ) from error


def require_weights(source: ModelSource, model: Any, missing_keys: Sequence[str]) -> None:
    """Refuses a model with weights made up at random for want of saved ones, or not finite.

    Args:
        source: Where it came from.
        model: As loaded.
        missing_keys: Weights that no file has.

    Raises:
        ModelUnavailableError: If there are such weights.
    """
    with loading(source):
        if missing_keys:
            raise ValueError(
                f"{len(missing_keys)} weights are not in it, {min(missing_keys)} among them"
            )
        for name, weights in model.named_parameters():
            if not bool(torch.isfinite(weights).all()):
                raise ValueError(f"the weights {name} hold NaN or infinity (as {weights.dtype})")


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
