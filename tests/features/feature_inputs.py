"""Tiny inputs for the tests of features: pictures, texts, parameters, a project folder."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from imf_core.base.artifacts import write_parquet
from imf_core.base.config import FetchParams, ImagesParams
from imf_core.base.modality import FeatureInputs
from imf_core.features.image import MODALITY as IMAGE
from imf_core.features.image import ImageFeaturesParams
from imf_core.features.text import MODALITY as TEXT
from imf_core.features.text import TextFeaturesParams
from imf_core.graph.entities import FINGERPRINT_KEY
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS, save_graph
from imf_core.images.select import ImageFetcher
from imf_core.images.write_shards import ImageSummary, write_image_shards
from imf_core.web.store import WebStore


def picture(seed: int, size: tuple[int, int] = (24, 16)) -> bytes:
    """A PNG of random stripes, another one for every seed."""
    colours = np.random.default_rng(seed).integers(0, 256, (1, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


class Workspace:
    """A small project folder: `graph`, `raw` and `images` below `root`.

    The folder `mirror` is its web, `web` its store.
    """

    def __init__(self, root: Path, entities: list[tuple[str, str, str]]) -> None:
        self.root = root
        self.entities = root / "graph/entities.parquet"
        self.looked_up = root / "media/descriptions.parquet"
        self.images = root / "images"
        self.output = root / "features.parquet"
        self.unfinished = root / "state"
        self.inputs = FeatureInputs(
            root / "graph", root / "media", root / "images", self.unfinished, images_params()
        )
        none = torch.zeros(0, 3, dtype=torch.long)
        labels, names, descriptions = (list(column) for column in zip(*entities, strict=True))
        self.graph = Graph(labels, names, descriptions, ["r"], ["r"], dict.fromkeys(SPLITS, none))
        save_graph(self.graph, self.graph.facts, root / "graph")
        (root / "raw").mkdir()
        (root / "mirror").mkdir()
        self.look_up([])

    def look_up(self, rows: list[tuple[int, str, str | None]]) -> None:
        """Writes looked-up texts: entity, description, name."""
        columns = {
            "entity_id": pa.array([row[0] for row in rows], pa.int64()),
            "description": pa.array([row[1] for row in rows], pa.string()),
            "name": pa.array([row[2] for row in rows], pa.string()),
        }
        metadata = {FINGERPRINT_KEY: self.graph.fingerprint}
        write_parquet(self.looked_up, pa.table(columns), metadata)

    def list_sources(
        self, rows: list[tuple[int, str]], name: str = "image_sources.parquet"
    ) -> Path:
        table = pa.table(
            {
                "entity_id": pa.array([row[0] for row in rows], pa.int64()),
                "source": pa.array([row[1] for row in rows], pa.string()),
            }
        )
        path = self.root / "graph" / name
        write_parquet(path, table, {FINGERPRINT_KEY: self.graph.fingerprint})
        return path

    def make_images(self, pictures: list[tuple[int, bytes]], images_per_shard: int = 4) -> None:
        for number, (_, content) in enumerate(pictures):
            (self.root / "raw" / f"{number}.png").write_bytes(content)
        self.list_sources(
            [(entity, f"{number}.png") for number, (entity, _) in enumerate(pictures)]
        )
        self.write_images(images_per_shard=images_per_shard)

    def put_on_web(self, url: str, content: bytes) -> str:
        path = self.root / "mirror" / url.split("://")[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return url

    def write_images(
        self, lists: tuple[str, ...] = ("image_sources.parquet",), **changes: object
    ) -> ImageSummary:
        params = images_params(**changes)
        manners = FetchParams(
            contact="",
            requests_per_host=4,
            attempts=1,
            timeout_seconds=5.0,
            longest_pause_seconds=30.0,
            allowed_private_hosts=[],
        )
        with WebStore(self.root / "web") as store:
            fetcher = ImageFetcher(
                store, self.root / "raw", params, manners, str(self.root / "mirror")
            )
            paths = [self.root / "graph" / name for name in lists]
            return write_image_shards(paths, self.entities, self.images, params, fetcher)


def images_params(**changes: object) -> ImagesParams:
    values = {
        "size_pixels": 32,
        "max_per_entity": 2,
        "max_source_bytes": 100_000,
        "max_source_pixels": 1_000_000,
        "images_per_shard": 4,
        **changes,
    }
    return ImagesParams.model_validate(values)


def image_features_params(**changes: object) -> ImageFeaturesParams:
    values = {
        "precomputed": None,
        "model": "builtin:colour-pca",
        "revision": None,
        "dim": 8,
        "batch_size": 2,
        "device": "cpu",
        "ray_workers": 0,
        **changes,
    }
    return ImageFeaturesParams.model_validate(values)


def text_features_params(**changes: object) -> TextFeaturesParams:
    values = {
        "precomputed": None,
        "model": "builtin:tfidf-svd",
        "revision": None,
        "pooling": "mean",
        "max_tokens": 16,
        "dim": 8,
        "batch_size": 2,
        "device": "cpu",
        "ray_workers": 0,
        **changes,
    }
    return TextFeaturesParams.model_validate(values)


def write_image_features(place: Workspace, params: ImageFeaturesParams) -> FeatureTable:
    return IMAGE.write(place.inputs, params, place.output)


def write_text_features(place: Workspace, params: TextFeaturesParams) -> FeatureTable:
    return TEXT.write(place.inputs, params, place.output)


TEXTS = [
    "a red island",
    "a blue lake in the north with very many small islands",
    "red",
    "the long river",
    "a lake",
    "north of the river",
    "island",
]
