"""Features by Ray workers: the bytes of one process, and errors in our own words."""

import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feature_inputs import Workspace, image_features_params, picture, text_features_params
from tiny_world import ROOT

from imf_core.errors import ClusterError, DataError, ModelUnavailableError
from imf_core.features import pretrained_image, pretrained_text
from imf_core.features.distributed import compute_chunks
from imf_core.features.images_to_vectors import write_image_features
from imf_core.features.ray_cluster import Workers
from imf_core.features.texts_to_vectors import write_text_features

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

MakeWorkspace = Callable[..., Workspace]

pytestmark = [
    pytest.mark.slow,
    # Ray Data warns of its own defaults when it copies its settings.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray on this machine for all tests: starting one takes seconds."""
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )
    yield
    ray.shutdown()


def test_images(cluster, workspace: MakeWorkspace, clip_folder: Path, monkeypatch):
    monkeypatch.setattr(pretrained_image, "CHUNK_BATCHES", 1)
    place = workspace(8)
    place.make_images([(i % 5, picture(i)) for i in range(10)])
    def write(**c):
        params = image_features_params(model=str(clip_folder), **c)
        write_image_features(place.entities, place.images, params, place.unfinished, place.output)
        return place.output.read_bytes()
    a = write()
    import torch
    torch.set_num_threads(1)
    b = write(ray_workers=2)
    assert a == b
