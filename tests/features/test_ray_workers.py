"""Features by Ray workers: the bytes of one process, and errors in our own words."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import light_encoder
import numpy as np
import pytest
import torch
from feature_inputs import (
    Workspace,
    image_features_params,
    picture,
    text_features_params,
    write_image_features,
    write_text_features,
)
from tiny_world import ROOT

from imf_core.base.errors import ClusterError, DataError
from imf_core.features.image import pretrained_image
from imf_core.features.shared.pretrained import ChunkStore
from imf_core.features.shared.ray import Workers
from imf_core.features.shared.workers import compute_chunks
from imf_core.features.text import pretrained_text

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytest.importorskip("ray.data", reason="the extra `ray` is not installed")

MakeWorkspace = Callable[..., Workspace]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("local_ray"),
    # Ray Data warns of its own defaults when it copies its settings.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """One Ray on this machine for all tests, with room for two workers."""
    paths = f"{ROOT}:{Path(__file__).parent}"
    ray.init(
        address="local",
        num_cpus=2 * torch.get_num_threads(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield
    ray.shutdown()


def one_worker(num_threads: int = 1) -> Workers:
    return Workers("image_features", 1, "cpu", num_threads, None)


def test_workers_finish_what_one_process_began_to_the_bytes_of_one_process(
    workspace: MakeWorkspace, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained_image, "CHUNK_BATCHES", 1)
    place = workspace(8)
    place.make_images([(i % 5, picture(i)) for i in range(10)])
    opened: list[ChunkStore] = []
    open_chunks = pretrained_image.image_chunks

    def open_and_hold(*key: object) -> ChunkStore:
        opened.append(open_chunks(*key))
        return open_chunks(*key)  # the other one keeps the folder from being removed

    monkeypatch.setattr(pretrained_image, "image_chunks", open_and_hold)

    def write(ray_workers: int) -> bytes:
        params = image_features_params(model=str(clip_folder), ray_workers=ray_workers)
        write_image_features(place, params)
        return place.output.read_bytes()

    whole = write(0)
    kept = sorted(opened[0].folder.glob("*.npy"))
    assert len(kept) == 5
    for path in kept[1:]:
        path.unlink()
    before = kept[0].stat()
    assert write(2) == whole
    assert opened[1].folder == opened[0].folder
    assert all(path.exists() for path in kept)
    after = kept[0].stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_workers_encode_texts_to_the_bytes_of_one_process(
    workspace: MakeWorkspace, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained_text, "CHUNK_BATCHES", 1)
    place = workspace(7)

    def write(ray_workers: int) -> bytes:
        params = text_features_params(model=str(bert_folder), ray_workers=ray_workers)
        write_text_features(place, params)
        return place.output.read_bytes()

    assert write(1) == write(0)


@pytest.mark.parametrize(
    ("read", "load", "error"),
    [
        (light_encoder.read_damaged, light_encoder.load, DataError),
        (partial(light_encoder.read, 0), light_encoder.load_full, MemoryError),
    ],
)
def test_an_error_in_a_worker_comes_out_as_itself(
    read: Callable[[], list[int]], load: Callable[[], object], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"^shard-00000|^no room"):
        compute_chunks({0: read}, load, one_worker(), lambda *_: None)


def test_chunks_are_kept_by_their_numbers() -> None:
    kept: dict[int, np.ndarray] = {}
    reads = {number: partial(light_encoder.read, number) for number in (3, 1, 7)}
    compute_chunks(reads, light_encoder.load, one_worker(), kept.__setitem__)
    assert {number: vectors.item() for number, vectors in kept.items()} == {3: 3, 1: 1, 7: 7}


def test_more_workers_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ClusterError, match=r"ray_workers .* is 1, each with 99 CPU, .* room for 0"):
        compute_chunks({}, light_encoder.load, one_worker(99), lambda *_: None)
