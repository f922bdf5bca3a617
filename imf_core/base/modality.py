"""Modalities: what defines one, and the table of all of them.

Each modality but structure is a module or folder of `imf_core/features` with a constant `MODALITY`.
Its name gives the section `<name>_features` of params.yaml, the stage `<name>_features` of dvc.yaml
and the file `data/features/<name>.parquet`. The modules are found by listing that folder: every
stage checks all parameters, but depends only on the code of the modality that it reads.
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from imf_core.base.sections import SHA256_PATTERN, Section, describe_bounds

if TYPE_CHECKING:
    from torch import Tensor

    from imf_core.base.config import ImagesParams
    from imf_core.graph.feature_table import FeatureTable

Device = Literal["auto", "cpu", "cuda"]
DEVICE = "auto: CUDA where there is one"

STRUCTURE = "structure"
"""The modality with learned embeddings instead of features."""

_FOLDER = "imf_core.features"


class PrecomputedParams(Section):
    """A file with precomputed features."""

    model_config = ConfigDict(json_schema_extra=describe_bounds)  # half of it is of no use

    path: str = Field(min_length=1, description="Parquet or .npy file")
    sha256: str = Field(pattern=SHA256_PATTERN, description="SHA-256 of the file")


class FeaturesParams(Section):
    """A section `<modality>_features`."""

    precomputed: PrecomputedParams | None = Field(description="taken in place of a model")
    model: str = Field(min_length=1, description="the encoder")
    dim: int = Field(ge=2, le=4096, description="at most so many components (built-in only)")


class EncoderParams(FeaturesParams):
    """A section of a modality with pretrained encoders."""

    revision: str | None = Field(description="commit of a hub model; null for the others")
    batch_size: int = Field(ge=1, le=4096, description="inputs encoded at once")
    device: Device = Field(description=DEVICE)
    ray_workers: Annotated[int, Field(ge=0, le=1024)] = Field(
        description="Ray workers that encode; 0: this process (pretrained only)"
    )


@dataclass(frozen=True)
class FeatureInputs:
    """The inputs of all feature stages.

    Attributes:
        graph: Output folder of `prepare`.
        media: Output folder of `media`.
        images: Output folder of `images`.
        unfinished: Folder for finished parts of an encoding, kept until the features are written.
        re_encoding: Section `images`, for pictures of unseen entities.
        ray_address: Address of the Ray cluster; None: this machine.
    """

    graph: Path
    media: Path
    images: Path
    unfinished: Path
    re_encoding: "ImagesParams"
    ray_address: str | None = None

    @property
    def entities(self) -> Path:
        """`entities.parquet` of the graph."""
        return self.graph / "entities.parquet"

    @property
    def looked_up(self) -> Path:
        """`descriptions.parquet` of `media`."""
        return self.media / "descriptions.parquet"


class UnseenEncoder(ABC):
    """Encodes inputs of unseen entities as those of the graph."""

    @abstractmethod
    def encode(self, inputs: Sequence[str]) -> "Tensor":
        """Encodes inputs as a user writes them: texts, paths of pictures, numbers.

        Args:
            inputs: m inputs. A text has the entity's name (`imf_core.graph.entities.entity_text`).

        Returns:
            shape: (m, F), dtype: float32.

        Raises:
            QuestionError: If the graph's features have another encoder, or an input is unusable.
            DataError: If a file is missing or damaged.
            ModelUnavailableError: If a pretrained model cannot be loaded.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes the files of `Modality.load_unseen`; equal encoders give equal bytes.

        Raises:
            QuestionError: If the graph's features have another encoder.
        """


ParamsT = TypeVar("ParamsT", bound=FeaturesParams)


class Modality(ABC, Generic[ParamsT]):
    """A modality with features. Its methods import the encoders, which load slowly.

    Attributes:
        name: In `model.modalities`; its section and stage are `<name>_features`.
        channel: Name of its channel in metrics and Parquet columns.
        noun: One input of an entity: "an image".
        params: Type of the section.
        is_automatic: Whether `model.modalities: auto` includes it if some entity has it.
        takes_words: Whether the input of an unseen entity is words, not the path of a file. Only
            words are taken from requests of a server.
    """

    name: ClassVar[str]
    channel: ClassVar[str]
    noun: ClassVar[str]
    params: type[ParamsT]
    is_automatic: ClassVar[bool] = True
    takes_words: ClassVar[bool] = False

    @property
    def section(self) -> str:
        """Name of the section and of the stage."""
        return f"{self.name}_features"

    @abstractmethod
    def write(self, inputs: FeatureInputs, params: ParamsT, output: Path) -> "FeatureTable":
        """Encodes the inputs of all entities and writes the features.

        Args:
            inputs: Inputs of the stage.
            params: The section.
            output: The features file.

        Returns:
            The saved features.

        Raises:
            DataError: If an input is missing, damaged or of another graph.
            ConfigError: If the parameters contradict one another.
            ModelUnavailableError: If a pretrained model cannot be loaded; finished parts stay.
            ClusterError: If Ray workers are unavailable or fail; finished parts stay.
        """

    @abstractmethod
    def fit_unseen(
        self,
        inputs: FeatureInputs,
        params: ParamsT,
        table: "FeatureTable",
    ) -> UnseenEncoder:
        """Returns the encoder of a run's features; it is loaded or fitted where it is needed.

        Args:
            inputs: Inputs of the stage.
            params: The section.
            table: The graph's features of this modality.
        """

    @abstractmethod
    def load_unseen(self, folder: Path, table: "FeatureTable") -> UnseenEncoder:
        """Reads the encoder of a packed model; see `UnseenEncoder.save`.

        Raises:
            DataError: If a file is missing or damaged.
            ConfigError: If it has other keys.
        """


@cache
def find_modalities() -> Mapping[str, Modality[Any]]:
    """Returns all modalities but structure by name, sorted."""
    folder = import_module(_FOLDER)
    modules = [
        import_module(f"{_FOLDER}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)
    ]
    found = [each.MODALITY for each in modules if hasattr(each, "MODALITY")]
    return MappingProxyType({each.name: each for each in sorted(found, key=lambda each: each.name)})


def channel_of(modality: str) -> str:
    """Returns the channel of a modality: structural for structure, visual for image."""
    return "structural" if modality == STRUCTURE else find_modalities()[modality].channel
