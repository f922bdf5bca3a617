"""The typed form of `params.yaml`: one frozen model per section, every value with its bounds.

A stage loads the sections it declares in `dvc.yaml` with `load_params` (`params_file.py`); the
experiment forms use the same models. Only `params.yaml` holds values, so no field has a default
here: a missing key is an error, like an unknown one.
"""

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import Field, create_model, model_validator

from imf_core.base.modality import (
    DEVICE,
    STRUCTURE,
    Device,
    FeaturesParams,
    Modality,
    find_modalities,
)
from imf_core.base.sections import AUTO, LANGUAGE_PATTERN, Auto, Section

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
if TYPE_CHECKING:
    ModalityName = str
else:
    ModalityName = Literal[(STRUCTURE, *find_modalities())]
Modalities = Annotated[list[ModalityName], Field(min_length=1)]
Size = Annotated[int, Field(ge=2, le=4096)]
Width = Annotated[int, Field(ge=1, le=8192)]
Count = Annotated[int, Field(ge=1)]
Samples = Annotated[int, Field(ge=0)]
TableRate = Annotated[float, Field(gt=0.0, le=10.0)]
NetworkRate = Annotated[float, Field(gt=0.0, le=1.0)]
Penalty = Annotated[float, Field(ge=0.0)]
PROCESSES = "that share the work; on CUDA one for each GPU"
_RDF_SUFFIXES = re.compile(r"(?<=.)(\.\w+)?(\.(gz|bz2|xz))?$", re.ASCII | re.IGNORECASE)
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class DatasetParams(Section):
    """The graph to complete."""

    name: str = Field(min_length=1, description="a registered data set, `folder` or `rdf`")
    path: str = Field(min_length=1, description="the graph where name is `folder` or `rdf`")
    image_folders: list[str] = Field(description="other folders that the image index may refer to")
    decisions: str = Field(min_length=1, description="people's decisions about facts, JSON lines")


FOLDER, RDF = "folder", "rdf"
OWN_GRAPHS = {FOLDER, RDF}
"""Values of `dataset.name` that read the user's own graph from `dataset.path`."""


def name_graph(dataset: str, path: str) -> str:
    """Names a graph for people: a data set, or the user's folder or file without suffixes.

    `dataset` is `dataset.name`, and the name where `path`, `dataset.path`, has none, such as `.`.
    """
    if dataset not in OWN_GRAPHS:
        return dataset
    name = PurePosixPath(path).name
    if dataset == RDF:
        name = _RDF_SUFFIXES.sub("", name)
    return dataset if name in {"", ".."} else name


class PrepareParams(Section):
    """The split of facts into train, valid and test."""

    split: Literal["leak-free", "official"] = Field(
        description="leak-free: valid and train cleaned of held-out facts; official: as given"
    )
    test: Literal["as-given", "cleaned"] = Field(
        description="cleaned: without test facts that train reveals"
    )
    valid_fraction: float = Field(gt=0.0, le=0.4, description="share held out for selection")
    test_fraction: float = Field(
        gt=0.0, le=0.4, description="the same for test, if the source has none"
    )
    seed: int = Field(ge=0, lt=2**62, description="seed of the split")


class FetchParams(Section):
    """Limits of requests to the web."""

    contact: str = Field(description="e-mail address or page of the user")
    requests_per_host: int = Field(ge=1, le=64, description="requests at the same time")
    attempts: int = Field(ge=1, le=20, description="attempts per file")
    timeout_seconds: float = Field(gt=0.0, le=600.0, description="limit of one attempt")
    longest_pause_seconds: float = Field(
        gt=0.0, le=86_400.0, description="a host that asks for a longer pause is skipped"
    )
    allowed_private_hosts: list[str] = Field(
        description="allowed `host` or `host:port` on a private or loopback address"
    )

    @model_validator(mode="after")
    def _check(self) -> "FetchParams":
        if not (self.contact.isascii() and self.contact.isprintable()):
            raise ValueError(f"fetch.contact must be one line of ASCII, got {self.contact!r}")
        for host in self.allowed_private_hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"fetch.allowed_private_hosts must list `host` or `host:port`, got {host!r}"
                )
        return self


class MediaParams(Section):
    """Descriptions and images, looked up for entities with a known identifier as label."""

    source: Literal["none", "wikidata", "wikipedia"] = Field(
        description="wikidata: one-line descriptions; wikipedia: summaries of articles as well"
    )
    language: str = Field(pattern=LANGUAGE_PATTERN, description="language of the texts")
    image_width_pixels: Literal[20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840] = Field(
        description="requested from Wikimedia Commons, which may refuse other widths"
    )


class ImagesParams(Section):
    """Selection and storage of images."""

    size_pixels: int = Field(ge=16, le=2048, description="longest side after re-encoding")
    max_per_entity: int = Field(ge=1, le=100, description="further images are skipped and counted")
    max_source_bytes: int = Field(ge=1_000, description="a larger file is skipped")
    max_source_pixels: int = Field(ge=1_000, description="a picture with more pixels is skipped")
    images_per_shard: int = Field(ge=1, le=100_000, description="images in one Parquet file")


class ModelSettings(Section):
    """The channels: one per modality and the fused one; the stage `tune` chooses `auto` values."""

    modalities: Modalities | Auto = Field(
        description="one or more; auto: structure, and image and text where the graph has them"
    )
    dim: Size | Auto = Field(description="D, size of every entity embedding; even")
    encoder_dim: Size | Auto | None = Field(
        description="D of all channels but the structural one; even; null: as dim"
    )
    context: Literal["block-diagonal", "dense"] = Field(description="form of a relation's context")
    relation_dim: int = Field(ge=1, le=4096, description="D_r of the dense context")
    hidden_dim: Width | Auto = Field(description="width of the image and text encoders")
    mask_missing: bool = Field(
        description="leave entities out of the channels of modalities that they lack; false: "
        "encode zeros as features"
    )
    dropout: Fraction | Auto = Field(description="of the image and text encoders")
    head_dropout: Fraction | Auto = Field(description="of the head embedding and of the query")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.modalities != AUTO and len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"model.modalities must not repeat, got {self.modalities}")
        for name, dim in (("dim", self.dim), ("encoder_dim", self.encoder_dim)):
            if isinstance(dim, int) and dim % 2:
                raise ValueError(f"model.{name} must be even (2 x 2 blocks), got {dim}")
        return self


class ModelParams(ModelSettings):
    """Section `model` with every value chosen."""

    modalities: Modalities
    dim: Size
    encoder_dim: Size | None
    hidden_dim: Width
    dropout: Fraction
    head_dropout: Fraction

    def dim_of(self, channel: str) -> int:
        """Returns D of a channel."""
        return self.dim if channel == "structural" or self.encoder_dim is None else self.encoder_dim


class FusionParams(Section):
    """Stage one of the fusion: low-rank bilinear pooling and the contrastive term."""

    form: Literal["full", "narrow"] = Field(
        description="full: products of full-size embeddings, as in the paper; narrow: structure, "
        "modulated by products of a few numbers per modality, which is faster"
    )
    rank: int = Field(
        ge=0,
        le=1024,
        description="number of terms; in the full form one of full size per modality, the others "
        "narrow; 0: no fused channel",
    )
    dropout: Fraction = Field(description="of the inputs of the pooling")
    residual: bool = Field(description="add a free vector to each fused entity")
    complement: bool = Field(
        description="train the fused channel to correct the image and text channels"
    )
    detach: bool = Field(description="stop the fused channel's gradient at the modality encoders")
    contrastive_weight: float = Field(ge=0.0, le=100.0, description="0 switches the term off")
    contrastive_temperature: float = Field(
        gt=0.0, le=10.0, description="lower: hard negatives count more"
    )


class DecisionParams(Section):
    """Stage two of the fusion: learned weights of the channels' predictions."""

    weights: Literal["equal", "global", "per-query"] = Field(
        description="fixed, one fitted set, or with offsets by relation and by degree"
    )
    shrinkage: Penalty = Field(description="penalty on the offsets, in units of held-out queries")


class PathsParams(Section):
    """The channel of the path network, which reads the facts between head and tail."""

    use: Literal["auto", "off", "pretrained", "fine-tuned"] = Field(
        description="auto: fine-tuned where it costs less than the training; all: if valid gains"
    )
    weights: str = Field(min_length=1, description="pretrained, a file or a hub model")
    steps: Count = Field(description="of fine-tuning, at most")


class TrainSettings(Section):
    """Optimisation and selection; the stage `tune` chooses `auto` values."""

    seed: int = Field(ge=0, lt=2**63, description="seed of initial weights, batches and dropout")
    epochs: Count | Auto = Field(description="at most; early stopping may end sooner")
    loss: Literal["cross-entropy", "binary-cross-entropy"] = Field(
        description="the paper uses the binary one"
    )
    label_smoothing: Fraction = Field(description="of the binary cross-entropy")
    batch_size: Count | Auto = Field(description="(head, relation) query rows per step")
    positives_per_row: Count | Auto = Field(
        description="a query with more answers has several rows (softmax only)"
    )
    sampled_candidates: Samples | Auto = Field(
        description="random entities scored per step; 0: all entities"
    )
    embedding_learning_rate: TableRate | Auto = Field(description="Adagrad, for the tables")
    network_learning_rate: NetworkRate | Auto = Field(description="Adam, for everything else")
    average_decay: float = Field(ge=0.0, lt=1.0, description="of the weights' moving average")
    n3: Penalty | Auto = Field(description="weight of the structural channel's N3 penalty")
    encoder_n3: Penalty | Auto = Field(description="the same for the image and text channels")
    fused_n3: Penalty | Auto = Field(description="the same for the fused channel")
    relation_weight: Penalty | Auto = Field(
        description="weight of the relation prediction loss; structural channel, block-diagonal"
    )
    validate_every: Count | Auto = Field(description="epochs between validations")
    patience: Count | Auto = Field(
        description="validations without gain before stopping; auto: half of the best epoch, at "
        "least 5 validations"
    )
    device: Device = Field(description=DEVICE)
    processes: int = Field(ge=1, le=64, description=PROCESSES)
    precision: Literal["float32", "bfloat16"] = Field(description="bfloat16 is used on CUDA only")


class TrainParams(TrainSettings):
    """Section `train` with every value chosen."""

    epochs: Count
    batch_size: Count
    positives_per_row: Count
    sampled_candidates: Samples
    embedding_learning_rate: TableRate
    network_learning_rate: NetworkRate
    n3: Penalty
    encoder_n3: Penalty
    fused_n3: Penalty
    relation_weight: Penalty
    validate_every: Count


class TuneParams(Section):
    """The choice of values for `auto`."""

    trials: int = Field(
        ge=0, le=1000, description="largest number of short trainings; 0: rules of thumb"
    )
    seed: int = Field(ge=0, lt=2**62, description="seed of the trials")


class EvaluateParams(Section):
    """Ranking."""

    batch_size: int = Field(ge=1, description="queries scored at once")
    device: Device = Field(description=DEVICE)
    processes: int = Field(ge=1, le=64, description=PROCESSES)


class PredictParams(Section):
    """New facts."""

    top_k: int = Field(ge=1, description="new facts written")
    confirmed_top_k: int = Field(ge=0, description="facts of valid and test written")
    answers_per_query: int = Field(ge=1, description="facts kept from one query")
    min_relation_affinity: float = Field(
        ge=0.0,
        le=1.0,
        description="least share of similar entities with a relation, to ask about it",
    )
    max_queries: int = Field(ge=1, description="number of most plausible queries asked")
    device: Device = Field(description=DEVICE)


class DataParams(Section):
    """The sections of `params.yaml` before those of the features."""

    dataset: DatasetParams
    prepare: PrepareParams
    fetch: FetchParams
    media: MediaParams
    images: ImagesParams


if TYPE_CHECKING:
    FeatureSections = DataParams
else:
    FeatureSections = create_model(
        "FeatureSections",
        __base__=DataParams,
        **{each.section: (each.params, ...) for each in find_modalities().values()},
    )

ParamsT = TypeVar("ParamsT", bound=FeaturesParams)


class Params(FeatureSections):
    """All of `params.yaml`."""

    model: ModelSettings
    fusion: FusionParams
    decision: DecisionParams
    paths: PathsParams
    tune: TuneParams
    train: TrainSettings
    evaluate: EvaluateParams
    predict: PredictParams

    @model_validator(mode="after")
    def _check(self) -> Self:
        weight = self.train.relation_weight
        if self.model.context == "dense" and weight not in {0.0, AUTO}:
            raise ValueError(
                "train.relation_weight must be 0 or auto where model.context is dense, got "
                f"{weight}"
            )
        return self

    def features(self, modality: Modality[ParamsT]) -> ParamsT:
        """Returns the section of a modality."""
        section: ParamsT = getattr(self, modality.section)
        return section


class TrainingSpec(Section):
    """The sections that a trained model depends on, with every value chosen."""

    model: ModelParams
    fusion: FusionParams
    decision: DecisionParams
    train: TrainParams


class SettledParams(Params, TrainingSpec):
    """All of `params.yaml` with every value chosen."""

    model: ModelParams
    train: TrainParams
