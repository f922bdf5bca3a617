"""Checks of workers that need no Ray."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from feature_inputs import (
    Workspace,
    image_features_params,
    picture,
    text_features_params,
    write_image_features,
    write_text_features,
)

from imf_core.base.errors import ClusterError, ConfigError, ModelUnavailableError
from imf_core.features.shared import workers
from imf_core.features.shared.model_files import ModelSource
from imf_core.features.shared.pretrained import ChunkStore, describe_encoder
from imf_core.features.shared.ray import Workers, connected
from imf_core.features.text.pretrained_text import load_chunk_encoder, text_chunks
from imf_core.raster.shards import cut_shards, read_shard

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def source(bert_folder: Path) -> ModelSource:
    return ModelSource("text_features", str(bert_folder), None, "builtin:tfidf-svd")


def test_workers_for_a_builtin_encoder_are_refused(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    place.make_images([(0, picture(0))])
    message = r"_features\.ray_workers in params\.yaml must be 0 for 'builtin:.*', .* got 2"
    with pytest.raises(ConfigError, match=message):
        write_image_features(place, image_features_params(ray_workers=2))
    with pytest.raises(ConfigError, match=message):
        write_text_features(place, text_features_params(ray_workers=2))


def test_a_missing_ray_is_an_error_that_names_the_extra(
    workspace: MakeWorkspace, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    place = workspace(2)
    params = text_features_params(model=str(bert_folder), ray_workers=2)
    with pytest.raises(ConfigError, match=r"ray_workers .*pip install .*'\.\[ray\]'"):
        write_text_features(place, params)


def test_ray_is_not_started_where_nothing_is_missing(
    source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "compute_chunks", None)
    chunks = ChunkStore(tmp_path, {})
    chunks.keep(0, np.zeros((1, 8)))
    params = text_features_params(model=source.location, ray_workers=2)
    reads = [partial(list[str], ["red"])]
    workers.compute_missing(source, params, load_chunk_encoder, reads, chunks, None)


def test_the_chunks_of_a_run_are_the_same_whoever_computes_them(
    source: ModelSource, tmp_path: Path
) -> None:
    folders = {
        text_chunks(source, text_features_params(ray_workers=number), ["red"], tmp_path).folder
        for number in (0, 1, 8)
    }
    assert len(folders) == 1


def test_parts_of_shards_are_the_pictures_in_order(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    place.make_images([(i % 5, picture(i)) for i in range(10)], images_per_shard=4)
    shards = sorted(place.images.glob("shard-*.parquet"))
    parts = [part.read() for part in cut_shards(shards, 3)]
    assert [len(part) for part in parts] == [3, 1, 3, 1, 2]
    whole = [image for path in shards for image in read_shard(path, 5)[1]]
    assert [image for part in parts for image in part] == whole


def test_a_worker_with_another_model_in_the_directory_is_refused(source: ModelSource) -> None:
    load = partial(workers._load_there, load_chunk_encoder, source, text_features_params())
    expected = {**describe_encoder(source), "files_sha256": "0" * 64}
    with pytest.raises(ModelUnavailableError, match="missing on a machine of the Ray cluster"):
        load(expected, 1)


def test_a_worker_with_another_release_is_refused(source: ModelSource) -> None:
    load = partial(workers._load_there, load_chunk_encoder, source, text_features_params())
    expected = {**describe_encoder(source), "torch": "2.0.0"}
    with pytest.raises(ClusterError, match=r"a Ray worker has torch .* the stage has 2\.0\.0"):
        load(expected, 1)


def test_a_client_of_a_cluster_is_refused() -> None:
    ray = SimpleNamespace(is_initialized=lambda: False)
    asked = Workers("text_features", 1, "cpu", 1, "ray://head:10001")
    with pytest.raises(ClusterError, match=r"RAY_ADDRESS is ray://head:10001, .* set RAY_ADDRESS"):
        connected(ray, asked).__enter__()
