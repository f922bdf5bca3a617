"""Shares the unfinished chunks of a pretrained model's extraction among Ray workers.

Chunks are cut, numbered and kept the same way in one process and with workers, so a run may
continue in either form.
"""

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from imf_core.base.errors import ClusterError, ImfError, ModelUnavailableError
from imf_core.base.modality import EncoderParams
from imf_core.features.shared.model_files import ModelSource
from imf_core.features.shared.pretrained import ChunkStore, choose_device, describe_encoder
from imf_core.features.shared.ray import Workers, connected, explained, require_ray, require_room

Read = Callable[[], Sequence[Any]]
Encode = Callable[[Sequence[Any]], np.ndarray]

_READERS = 2  # tasks that read chunks at the same time; reading is much faster than encoding
_NODE_LABEL = "ray.io/node-id"


def compute_chunks(
    reads: Mapping[int, Read],
    load: Callable[[], Encode],
    workers: Workers,
    keep: Callable[[int, np.ndarray], object],
) -> None:
    """Encodes chunks on Ray workers.

    A program that is connected to Ray keeps its connection; otherwise this call starts or joins Ray
    and disconnects at the end.

    Args:
        reads: Picklable functions that read the content of a chunk, by its number.
        load: Function that each worker runs once; returns the encoder of a chunk's content.
        workers: Number and place of the workers.
        keep: Called in this process with the number and the vectors of each finished chunk.

    Raises:
        ConfigError: If Ray is not installed.
        ClusterError: If the cluster cannot be reached, has no room for the workers or fails.
        ImfError: The error of reading, loading or encoding, also out of memory or a full disk.
    """
    ray = require_ray(workers.section)
    with connected(ray, workers), explained(ray, workers):
        require_room(ray, workers)
        batches = _dataset(ray, reads, load, workers).iter_batches(
            batch_size=None, prefetch_batches=0, batch_format="pyarrow"
        )
        label = f"{workers.section.replace('_', ' ')} on Ray"
        with tqdm(total=len(reads), desc=label, unit="chunk", disable=None) as bar:
            missing = set(reads)
            for batch in batches:
                for number, content in _rows(batch):
                    keep(number, _unpack(content))
                    missing.discard(number)
                    bar.update()
    if missing:
        raise ClusterError(f"{workers.section}: Ray lost {len(missing)} chunks; run again")


def _dataset(
    ray: Any, reads: Mapping[int, Read], load: Callable[[], Encode], workers: Workers
) -> Any:
    """Plans the work: rows of number and packed vectors, one block with one row per chunk."""
    items = [{"number": number, "content": _pack(read)} for number, read in reads.items()]
    here = {_NODE_LABEL: ray.get_runtime_context().get_node_id()}
    resources = {"num_gpus": 1} if workers.device == "cuda" else {"num_cpus": workers.num_threads}
    dataset = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(
            _read,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.TaskPoolStrategy(size=min(_READERS, len(items))),
            num_cpus=0,  # also keeps Ray from merging this step with the next one
            label_selector=here,
        )
        .map_batches(
            _Worker,
            fn_constructor_args=(_pack(load),),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(workers.number, len(items))),
            **resources,
        )
    )
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    return dataset


def _read(batch: pa.Table) -> pa.Table:
    """Replaces the reader of a chunk by its content, on the machine of the driver."""
    ((number, content),) = _rows(batch)
    return _row(number, _attempt(partial(_call, content)))


class _Worker:
    """Replaces the content of a chunk by its vectors; one instance per worker process."""

    def __init__(self, load: bytes) -> None:
        # Loaded with the first chunk, so that an error belongs to that chunk.
        self._load = load
        self._encode: Encode | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        ((number, content),) = _rows(batch)
        return _row(number, _attempt(partial(self._compute, content)))

    def _compute(self, content: bytes) -> np.ndarray:
        items = _unpack(content)
        if self._encode is None:
            self._encode = _call(self._load)
        return self._encode(items)


def _attempt(compute: Callable[[], object]) -> bytes:
    """Packs a result or an error; Ray would wrap an error in several of its own."""
    try:
        return _pack(compute())
    except ImfError as error:
        return _pack(error)
    except ImportError as error:
        return _pack(
            ClusterError(
                f"a Ray worker cannot import what it needs ({error}); install the packages of "
                "this project on every machine of the cluster, in the same versions"
            )
        )
    except (MemoryError, OSError, RuntimeError) as error:
        error.add_note(f"In a Ray worker:\n{traceback.format_exc()}")
        return _pack(error)


def _call(content: bytes) -> Any:
    """Unpacks and calls a function."""
    return _unpack(content)()


def _pack(value: object) -> bytes:
    return pickle.dumps(value)


def _unpack(content: bytes) -> Any:
    """Unpacks a result, or raises a packed error."""
    value = pickle.loads(content)
    if isinstance(value, Exception):
        raise value
    return value


def _row(number: int, content: bytes) -> pa.Table:
    return pa.table({"number": [number], "content": pa.array([content], pa.large_binary())})


def _rows(table: pa.Table) -> Iterator[tuple[int, bytes]]:
    return zip(table["number"].to_pylist(), table["content"].to_pylist(), strict=True)


ParamsT = TypeVar("ParamsT", bound=EncoderParams)
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
        ImfError: Errors of `imf_core.features.shared.workers.compute_chunks`; finished chunks stay.
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
