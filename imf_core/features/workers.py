"""Distributes the unfinished chunks of a pretrained model's extraction to Ray workers.

Chunks are cut, numbered and kept in the same way with and without workers, so a run can continue in
either mode. This module does not import Ray.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from imf_core.config import ImageFeaturesParams, TextFeaturesParams
from imf_core.errors import ClusterError, ModelUnavailableError
from imf_core.features.distributed import Encode, Read, compute_chunks
from imf_core.features.model_source import ModelSource
from imf_core.features.pretrained import choose_device, describe_encoder
from imf_core.features.ray_cluster import Workers
from imf_core.features.resume import ChunkStore

ParamsT = TypeVar("ParamsT", ImageFeaturesParams, TextFeaturesParams)
Load = Callable[[ModelSource, ParamsT], Encode]


def compute_missing(
    source: ModelSource,
    params: ParamsT,
    load: Load[ParamsT],
    reads: Iterable[Read],
    chunks: ChunkStore,
    ray_address: str | None,
) -> None:
    """Computes the missing chunks on Ray workers and keeps them in `chunks`.

    Args:
        source: The model.
        params: The encoder, with at least one worker.
        load: Loads the model in a worker and returns the encoder of a chunk.
        reads: Picklable reader of each chunk, in order.
        chunks: Finished chunks.
        ray_address: Address of the cluster; None: Ray is started on this machine.

    Raises:
        ImfError: Errors of `imf_core.features.distributed.compute_chunks`; finished chunks stay.
    """
    missing = {number: read for number, read in enumerate(reads) if not chunks.has(number)}
    if not missing:
        return
    device, num_threads = choose_device(source, params), torch.get_num_threads()
    if source.revision is None:  # workers run in other folders
        source = replace(source, location=str(Path(source.location).resolve()))
    params = params.model_copy(update={"device": device})
    load_there = partial(_load_there, load, source, params, describe_encoder(source), num_threads)
    workers = Workers(source.section, params.ray_workers, device, num_threads, ray_address)
    compute_chunks(missing, load_there, workers, chunks.keep)


def _load_there(
    load: Load[ParamsT],
    source: ModelSource,
    params: ParamsT,
    expected: Mapping[str, str],
    num_threads: int,
) -> Callable[[Sequence[Any]], np.ndarray]:
    """Loads the model in a worker, after checking that its results equal those of the stage.

    Args:
        load: As in `compute_missing`.
        source: The model.
        params: The encoder.
        expected: `describe_encoder` of the stage's process.
        num_threads: Threads of PyTorch; the last digits depend on it.

    Raises:
        ModelUnavailableError: If the model's directory is missing here or holds something else.
        ClusterError: If PyTorch or Transformers is of another release.
    """
    for name, found in describe_encoder(source).items():
        if found == expected[name]:
            continue
        if name in {"torch", "transformers"}:
            raise ClusterError(
                f"{source.section}: a Ray worker has {name} {found}, but the stage has "
                f"{expected[name]}; install the same release on every machine of the cluster"
            )
        raise ModelUnavailableError(
            f"{source.section}.model in params.yaml: the directory {source.location!r} is missing "
            "on a machine of the Ray cluster or holds other files there; put it at the same path "
            f"on every machine, or set {source.section}.model to a hub id"
        )
    torch.set_num_threads(num_threads)
    return load(source, params)
