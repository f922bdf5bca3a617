"""What pretrained image and text encoders share: loading, device, output, and resumable chunks.

The folder of unfinished chunks is named by a hash of everything that the result depends on. Chunks
are cut the same way each time, so a resumed run gives the bytes of an uninterrupted one.
"""

import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers.utils import logging as transformers_logging

from imf_core.base.artifacts import SharedLock, write_bytes
from imf_core.base.device import explain_out_of_memory, resolve_device
from imf_core.base.errors import DataError, ImfError, ModelUnavailableError, find_full_disk
from imf_core.base.modality import EncoderParams
from imf_core.features.shared.model_files import ModelSource


class ChunkStore:
    """Finished chunks of one extraction: float32 arrays by number."""

    def __init__(self, root: Path, key: Mapping[str, str]) -> None:
        """Opens the folder of this extraction, which another run may use at the same time.

        Args:
            root: Folder of all extractions.
            key: Everything that the result depends on.
        """
        text = json.dumps(dict(key), sort_keys=True)
        self.folder = root / hashlib.sha256(text.encode("utf-8")).hexdigest()
        self._shared_lock = SharedLock(self.folder)

    def get(self, number: int, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns a chunk from the folder, or computes and keeps it.

        Raises:
            DataError: If a kept chunk cannot be read.
        """
        path = self._path(number)
        if path.exists():
            try:
                kept: np.ndarray = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(
                    f"{path} cannot be read ({error}); delete it and run again"
                ) from error
            return kept
        return self.keep(number, compute())

    def has(self, number: int) -> bool:
        """Returns whether a chunk is kept."""
        return self._path(number).exists()

    def keep(self, number: int, vectors: np.ndarray) -> np.ndarray:
        """Keeps a chunk and returns it as float32."""
        chunk = np.ascontiguousarray(vectors, dtype=np.float32)
        buffer = io.BytesIO()
        np.save(buffer, chunk)
        write_bytes(self._path(number), buffer.getvalue())
        return chunk

    def clear(self) -> None:
        """Removes the chunks unless another run uses them; call it after the file is written."""
        self._shared_lock.remove()

    def _path(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}.npy"


MAX_REASON = 600
"""Characters of a library's message, which may list a whole directory."""

SHAPE_ERRORS = (IndexError, RuntimeError)
"""Errors of PyTorch for inputs that do not fit a model."""


@contextmanager
def loading(source: ModelSource) -> Iterator[None]:
    """Turns errors of loading a model into one error with a remedy.

    Raises:
        ImfError: Instead of errors of Transformers and the hub client.
    """
    verbosity = transformers_logging.get_verbosity()
    # Otherwise Transformers warns that half of a CLIP is unused.
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
def computing(
    source: ModelSource, inputs: str, remedy: str, causes: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Turns errors of running a model into one error with a remedy.

    Args:
        source: The model.
        inputs: Description of the inputs, such as "64 texts".
        remedy: Advice for `causes`.
        causes: Errors of inputs that do not fit the model.

    Raises:
        ImfError: Instead of errors of Transformers, PyTorch and the tokenizers.
    """
    with _explained(source, f"fails on {inputs}", remedy, causes):
        yield


@contextmanager
def _explained(
    source: ModelSource,
    failure: str,
    remedy: str,
    causes: tuple[type[Exception], ...] = (Exception,),
) -> Iterator[None]:
    """Turns an exception of a library into the message of the stage.

    A full disk and our own errors pass. Only `causes` get the remedy, which would be wrong for
    a bug.
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
    """Refuses a model with missing weights, which are random, or with weights that are not finite.

    Args:
        source: Source of the model.
        model: The loaded model.
        missing_keys: Names of weights that are in no file.

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


def choose_device(source: ModelSource, params: EncoderParams) -> Literal["cpu", "cuda"]:
    """Returns the device of this process or of its workers.

    Workers use CUDA if `device` is cuda, even if this machine has none; `auto` is the device of
    this machine, so that all workers use the same.

    Raises:
        ConfigError: If this process shall use CUDA and there is none.
    """
    if params.ray_workers and params.device == "cuda":
        return "cuda"
    device = resolve_device(params.device, f"{source.section}.device")
    return "cuda" if device.type == "cuda" else "cpu"


def describe_encoder(source: ModelSource) -> dict[str, str]:
    """Returns the model and the library releases that the vectors depend on."""
    return {
        **source.identity(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def choose_dtype(device: torch.device) -> torch.dtype:
    """Returns half precision for CUDA, single for a CPU."""
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
