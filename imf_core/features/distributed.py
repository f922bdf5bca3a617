"""Computes chunks of an extraction on Ray workers, on this machine or on a cluster.

In: a function per chunk that reads its content. Out: the chunks' vectors, in the order in which
they are finished. This machine reads a chunk and sends its content to a worker, so workers need
none of its files. Ray Data reads only as far ahead as the workers can follow, so few chunks are in
memory at a time.

Reading tasks import this module, so its import is cheap.
"""

import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from imf_core.errors import ClusterError, ImfError
from imf_core.features.ray_cluster import Workers, connected, explained, require_ray, require_room

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
