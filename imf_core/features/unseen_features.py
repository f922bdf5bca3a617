"""Encodes texts and pictures of unseen entities with the encoders of the graph's features.

In: texts or files of pictures. Out: vectors in the space of the graph's vectors. A pretrained
model is loaded as in the stage. A built-in one is fitted to the graph's texts or pictures again,
and must reproduce the features' file, or is read from a packed model.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from imf_core.base import typed_yaml
from imf_core.base.artifacts import read_json, write_json
from imf_core.base.config import ImageFeaturesParams, ImagesParams, TextFeaturesParams
from imf_core.base.errors import ModelUnavailableError, QuestionError
from imf_core.features.image import images_to_vectors
from imf_core.features.image.images_to_vectors import mean_by_entity
from imf_core.features.shared.model_files import Section, locate_model
from imf_core.features.text import texts_to_vectors
from imf_core.graph.entities import read_entity_texts
from imf_core.graph.feature_table import FeatureTable
from imf_core.raster.reencode import RejectedImage, quiet_pillow, reencode_image
from imf_core.raster.shards import read_shard, shard_paths

TOLERANCE = 1e-3
"""Vectors have length one; two fits of the same inputs differ by rounding alone."""

ENCODER = "encoder.json"
"""File of a saved encoder's parameters; a built-in one has its fitted arrays beside it."""

IN_PARAMS = "params.yaml"


class FittedEncoder(Protocol):
    """A built-in encoder: `TextEncoder` of texts, `FittedReduction` of pictures."""

    def encode(self, inputs: Sequence[Any], /) -> np.ndarray:
        """Encodes m inputs, shape: (m, F), dtype: float32."""
        ...

    def save(self, folder: Path, /) -> None:
        """Writes the fitted arrays."""
        ...


class EncoderParams(typed_yaml.Section):
    """Content of `encoder.json`.

    Attributes:
        encoder: Section `text_features` or `image_features` of the parameters.
        images: Section `images`, for pictures.
    """

    encoder: TextFeaturesParams | ImageFeaturesParams
    images: ImagesParams | None

    @property
    def section(self) -> Section:
        """Name of the encoder's section."""
        is_text = isinstance(self.encoder, TextFeaturesParams)
        return "text_features" if is_text else "image_features"

    @property
    def builtin(self) -> str:
        """Name of the built-in encoder."""
        is_text = self.section == "text_features"
        return texts_to_vectors.BUILTIN if is_text else images_to_vectors.BUILTIN


class UnseenEncoder:
    """Encodes texts or pictures of unseen entities as those of the graph.

    Made by `fit_text_encoder`, `fit_image_encoder` or `load_unseen_encoder`.

    Args:
        params: The encoder.
        table: The graph's features.
        origin: File that names the encoder, for errors.
        open_builtin: Returns the built-in encoder; called where it is needed.
    """

    def __init__(
        self,
        params: EncoderParams,
        table: FeatureTable,
        origin: str,
        open_builtin: Callable[[], FittedEncoder],
    ) -> None:
        self._params, self._table, self._origin = params, table, origin
        self._open_builtin = open_builtin

    def encode(self, inputs: Sequence[str | Path]) -> Tensor:
        """Encodes texts, or pictures in files.

        Args:
            inputs: Non-empty texts (`imf_core.graph.entities.entity_text`) for the encoder of
                texts, else paths of pictures; m of them.

        Returns:
            shape: (m, F), dtype: float32.

        Raises:
            QuestionError: If the graph's features have another encoder or none, a file is no
                picture, or a text shares no n-gram with those of the graph.
            DataError: If a file is missing or damaged.
            ModelUnavailableError: If the model cannot be loaded.
        """
        _require_encoder(self._params.section, self._table)
        images = self._params.images
        read = inputs if images is None else [_read_picture(Path(each), images) for each in inputs]
        vectors = self._embed(read)
        for each, vector in zip(inputs, vectors, strict=True):
            if not vector.any():
                raise QuestionError(
                    f"the text {each!r} shares nothing with those of the graph; say more"
                )
        return torch.from_numpy(vectors)

    @cached_property
    def _embed(self) -> Callable[[Sequence[Any]], np.ndarray]:
        params = self._params.encoder
        if params.model == self._params.builtin:
            return self._open_fitted().encode
        if self._origin != IN_PARAMS and Path(params.model).is_absolute():
            self._require_directory(params.model)
        source = locate_model(
            self._params.section, params.model, params.revision, self._params.builtin
        )
        embed: Callable[[Sequence[Any]], np.ndarray]
        if isinstance(params, TextFeaturesParams):
            from imf_core.features.text.pretrained_text import load_text_encoder  # noqa: PLC0415

            texts = load_text_encoder(source, params)
            embed, provenance = texts.embed, texts.provenance
        else:
            from imf_core.features.image.pretrained_image import (  # noqa: PLC0415
                load_image_encoder,
            )

            images = load_image_encoder(source, params)
            embed = lambda pictures: images.embed(images.preprocess(pictures))  # noqa: E731
            provenance = images.provenance
        self._require_same(provenance)
        size = params.batch_size
        return lambda inputs: np.concatenate(
            [embed(inputs[start : start + size]) for start in range(0, len(inputs), size)]
        )

    def save(self, folder: Path) -> None:
        """Writes `encoder.json` and, of a built-in encoder, the fitted arrays.

        A directory with a pretrained model is named by its absolute path.

        Raises:
            QuestionError: If the graph's features have another encoder.
        """
        params = self._params.encoder
        changes: dict[str, object] = {"precomputed": None, "device": "auto", "ray_workers": 0}
        if Path(params.model).is_dir():
            changes["model"] = str(Path(params.model).resolve())
        saved = self._params.model_copy(update={"encoder": params.model_copy(update=changes)})
        write_json(folder / ENCODER, saved.model_dump())
        is_builtin = self._table.provenance.get("model") == self._params.builtin
        if is_builtin and bool(self._table.is_present.any()):
            self._open_fitted().save(folder)

    def _open_fitted(self) -> FittedEncoder:
        self._require_same({"model": self._params.encoder.model})
        return self._open_builtin()

    def _require_directory(self, model: str) -> None:
        """Refuses the directory of another machine."""
        if not Path(model).is_dir():
            raise ModelUnavailableError(
                f"{self._origin} names the directory {model!r}, which is not on this machine; copy "
                "the model there, or write the directory of your copy into the file"
            )

    def _require_same(self, provenance: Mapping[str, str]) -> None:
        """Refuses an encoder other than that of the graph's features."""
        if dict(provenance) != self._table.provenance:
            remedy = "run `dvc repro`, or put the old values back"
            if self._origin != IN_PARAMS:
                remedy = "name the directory of that model there"
            raise QuestionError(
                f"the features of this graph were made by {self._table.provenance}, but "
                f"{self._params.section} in {self._origin} names {dict(provenance)}; {remedy}"
            )


def fit_text_encoder(
    entities_path: Path, looked_up_path: Path, params: TextFeaturesParams, table: FeatureTable
) -> UnseenEncoder:
    """Returns the encoder of a run's text features; a built-in one is fitted when it is needed.

    Args:
        entities_path: `entities.parquet` of the graph.
        looked_up_path: `descriptions.parquet` of the stage.
        params: The encoder.
        table: The graph's text features.
    """

    def fit() -> FittedEncoder:
        from imf_core.features.text.builtin_text import fit_texts  # noqa: PLC0415 - loads slowly

        texts = read_entity_texts(entities_path, looked_up_path).texts
        fitted = fit_texts([each for each in texts if each], params.dim)
        has_text = np.array([bool(each) for each in texts])
        _require_equal("text_features", fitted.vectors, table.vectors.numpy()[has_text])
        return fitted.encoder()

    return UnseenEncoder(EncoderParams(encoder=params, images=None), table, IN_PARAMS, fit)


def fit_image_encoder(
    entities_path: Path,
    images_folder: Path,
    images: ImagesParams,
    params: ImageFeaturesParams,
    table: FeatureTable,
) -> UnseenEncoder:
    """Returns the encoder of a run's image features; a built-in one is fitted when it is needed.

    Args:
        entities_path: `entities.parquet` of the graph.
        images_folder: Shards and manifest of the images stage.
        images: Parameters of re-encoding.
        params: The encoder.
        table: The graph's image features.
    """

    def fit() -> FittedEncoder:
        from imf_core.features.image.builtin_image import (  # noqa: PLC0415 - loads slowly
            FittedReduction,
            describe_images,
        )

        entities = read_entity_texts(entities_path)
        ids, parts = [], []
        for shard in shard_paths(images_folder, entities.graph_fingerprint):
            shard_ids, pictures = read_shard(shard, entities.num_entities)
            ids.append(shard_ids)
            parts.append(describe_images(pictures))
        described = np.concatenate(parts)
        fitted = FittedReduction.fit(described, params.dim)
        again = mean_by_entity(
            np.concatenate(ids), fitted.apply(described), entities.num_entities, {}
        )
        _require_equal("image_features", again.vectors.numpy(), table.vectors.numpy())
        return fitted

    return UnseenEncoder(EncoderParams(encoder=params, images=images), table, IN_PARAMS, fit)


def load_unseen_encoder(folder: Path, table: FeatureTable) -> UnseenEncoder:
    """Reads the files of `UnseenEncoder.save`; a model is loaded when it is needed.

    Args:
        folder: Folder of the files.
        table: The graph's features.

    Raises:
        DataError: If `encoder.json` is missing or damaged.
        ConfigError: If it has other keys.
    """
    path = folder / ENCODER
    params = typed_yaml.validate(EncoderParams, read_json(path), str(path))

    def load() -> FittedEncoder:
        if params.section == "text_features":
            from imf_core.features.text.builtin_text import TextEncoder  # noqa: PLC0415

            return TextEncoder.load(folder)
        from imf_core.features.image.builtin_image import FittedReduction  # noqa: PLC0415

        return FittedReduction.load(folder)

    return UnseenEncoder(params, table, str(path), load)


def _read_picture(path: Path, images: ImagesParams) -> bytes:
    """Reads and re-encodes a picture like the images stage."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise QuestionError(f"{path} cannot be read ({error.strerror})") from error
    with quiet_pillow():
        picture = reencode_image(
            content,
            size_pixels=images.size_pixels,
            max_bytes=images.max_source_bytes,
            max_pixels=images.max_source_pixels,
        )
    if isinstance(picture, RejectedImage):
        raise QuestionError(f"{path} is not taken as a picture: {picture.fault}, {picture.detail}")
    return picture.content


def _require_encoder(section: Section, table: FeatureTable) -> None:
    """Refuses ready features, and features without any present entity."""
    kind = section.removesuffix("_features")
    made_by = table.provenance.get("model", "")
    if made_by.startswith("precomputed:"):
        raise QuestionError(
            f"the {kind} features of this graph were given ready-made ({made_by}), so there is "
            f"nothing to extract those of a new {kind} with; ask without it, or set "
            f"{section}.precomputed in params.yaml to null, name the model that made them and run "
            "`dvc repro`"
        )
    if not bool(table.is_present.any()):
        raise QuestionError(f"no entity of this graph has a usable {kind}; ask without it")


def _require_equal(section: Section, found: np.ndarray, expected: np.ndarray) -> None:
    """Refuses a fit that does not reproduce the graph's features."""
    if found.shape != expected.shape or not np.allclose(found, expected, atol=TOLERANCE):
        raise QuestionError(
            f"fitted to the graph's files again, {section}.model does not give the features "
            f"in data/features; they, {section}.dim or the encoder have changed "
            "since, or another machine made them: "
            f"run `dvc repro --force --single-item {section}` and `dvc repro`"
        )
