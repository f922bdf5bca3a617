"""The typed form of `params.yaml`: one frozen model per section, every value with its bounds.

A stage loads the sections it declares in `dvc.yaml` with `load_params`; the same models give the
forms in which experiments are entered. `params.yaml` is the only home of values, so no field has
a default here: a missing key is as much an error as an unknown one.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imf_core.errors import ConfigError

Modality = Literal["structure", "image", "text"]
Device = Literal["auto", "cpu", "cuda"]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Modalities = Annotated[list[Modality], Field(min_length=1, max_length=3)]
Size = Annotated[int, Field(ge=2, le=4096)]
Width = Annotated[int, Field(ge=1, le=8192)]
Count = Annotated[int, Field(ge=1)]
Samples = Annotated[int, Field(ge=0)]
TableRate = Annotated[float, Field(gt=0.0, le=10.0)]
NetworkRate = Annotated[float, Field(gt=0.0, le=1.0)]
Penalty = Annotated[float, Field(ge=0.0)]

AUTO: Literal["auto"] = "auto"
"""The value of a key that the stage `tune` chooses for the graph."""
Auto = Annotated[Literal["auto"], Field(title="auto", description="chosen for the graph")]
DEVICE = "auto: CUDA where there is one"
PROCESSES = "that share the work; on CUDA one for each GPU"
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
"""How a form words the bounds of a JSON schema, which it checks but does not show."""


def _tell_bounds(schema: dict[str, Any]) -> None:
    """Makes of a section's JSON schema what a form shows: keys as titles, bounds in words."""
    for key, field in schema["properties"].items():
        kinds = field.get("anyOf", [field])
        bounds = [
            words.format(_word_number(kind[name]))
            for kind in kinds
            for name, words in _BOUNDS.items()
            if name in kind
        ]
        is_chosen = any(kind.get("const") == AUTO for kind in kinds)
        parts = [field.get("description"), ", ".join(bounds), is_chosen and f"or {AUTO}"]
        field["title"] = key
        field["description"] = "; ".join(part for part in parts if part)


def _describe_form(schema: dict[str, Any]) -> None:
    """Does the same for a form that may leave keys out; a file of parameters may not.

    A browser sends no key for a field that is empty, be it an empty text or list.
    """
    _tell_bounds(schema)
    del schema["required"]


def _word_number(number: float) -> str:
    """Writes a bound: 1024, 0.4, 2^62."""
    is_power = isinstance(number, int) and number > 2**31 and number.bit_count() == 1
    return f"2^{int(number).bit_length() - 1}" if is_power else f"{number:.12g}"


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no silent conversion of strings."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        json_schema_extra=_describe_form,
    )


class DatasetParams(Section):
    """Which graph to complete."""

    name: str = Field(min_length=1, description="a registered data set, `folder` or `rdf`")
    path: str = Field(min_length=1, description="the graph where name is `folder` or `rdf`")
    image_folders: list[str] = Field(
        description="other folders out of which a folder's image index may name files"
    )


class PrepareParams(Section):
    """How facts become train, valid and test."""

    split: Literal["leak-free", "official"] = Field(
        description="leak-free: valid and train cleaned of held-out facts; official: as given"
    )
    test: Literal["as-given", "cleaned"] = Field(
        description="cleaned: without the test facts that train gives away"
    )
    valid_fraction: float = Field(gt=0.0, le=0.4, description="facts held out to select by")
    test_fraction: float = Field(gt=0.0, le=0.4, description="facts held out where test is absent")
    seed: int = Field(ge=0, lt=2**62, description="seed of the split")


class FetchParams(Section):
    """Manners of every request to the web."""

    contact: str = Field(description="e-mail address or page of whoever runs this")
    requests_per_host: int = Field(ge=1, le=64, description="under way at once")
    attempts: int = Field(ge=1, le=20, description="for one file")
    timeout_seconds: float = Field(gt=0.0, le=600.0, description="for one attempt")
    longest_pause_seconds: float = Field(
        gt=0.0, le=86_400.0, description="a host that asks for a longer one is given up"
    )
    allowed_private_hosts: list[str] = Field(
        description="`host` or `host:port` on a private or loopback address that may be asked"
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
    """Descriptions and images looked up for entities whose label says who they are."""

    source: Literal["none", "wikidata", "wikipedia"] = Field(
        description="wikidata: one-line descriptions; wikipedia: summaries of articles as well"
    )
    language: str = Field(pattern=r"^[a-z]{2,3}(-[a-z]+)*$", description="of the texts")
    image_width_pixels: Literal[20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840] = Field(
        description="asked of Wikimedia Commons, which may refuse widths that it does not keep"
    )


class ImagesParams(Section):
    """Which images are kept and how they are stored."""

    size_pixels: int = Field(ge=16, le=2048, description="longest side after re-encoding")
    max_per_entity: int = Field(ge=1, le=100, description="further images are counted and skipped")
    max_source_bytes: int = Field(ge=1_000, description="a larger file is skipped")
    max_source_pixels: int = Field(ge=1_000, description="a picture of more pixels is skipped")
    images_per_shard: int = Field(ge=1, le=100_000, description="images in one Parquet file")


class PrecomputedParams(Section):
    """A file of ready features."""

    model_config = ConfigDict(json_schema_extra=_tell_bounds)  # half of it is of no use

    path: str = Field(min_length=1, description="Parquet or .npy file")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its content")


class ImageFeaturesParams(Section):
    """The image encoder."""

    precomputed: PrecomputedParams | None = Field(description="taken in place of a model")
    model: str = Field(min_length=1, description="`builtin:colour-pca`, hub id or directory")
    revision: str | None = Field(description="commit of a hub model; null for the others")
    dim: int = Field(ge=2, le=4096, description="at most so many components (built-in only)")
    batch_size: int = Field(ge=1, le=4096, description="images encoded at once")
    device: Device = Field(description=DEVICE)
    ray_workers: int = Field(
        ge=0, le=1024, description="Ray workers that encode; 0: this process (pretrained only)"
    )


class TextFeaturesParams(Section):
    """The text encoder."""

    precomputed: PrecomputedParams | None = Field(description="taken in place of a model")
    model: str = Field(min_length=1, description="`builtin:tfidf-svd`, hub id or directory")
    revision: str | None = Field(description="commit of a hub model; null for the others")
    pooling: Literal["mean", "cls"] = Field(description="of token states (transformers only)")
    max_tokens: int = Field(ge=8, le=8192, description="longer texts are cut (transformers only)")
    dim: int = Field(ge=2, le=4096, description="at most so many components (built-in only)")
    batch_size: int = Field(ge=1, le=4096, description="texts encoded at once")
    device: Device = Field(description=DEVICE)
    ray_workers: int = Field(
        ge=0, le=1024, description="Ray workers that encode; 0: this process (pretrained only)"
    )


class ModelSettings(Section):
    """The heads: one per modality, plus the fused one; `auto` is chosen by the stage `tune`."""

    modalities: Modalities | Auto = Field(
        description="one or more of structure, image, text; auto: those that the graph has"
    )
    dim: Size | Auto = Field(description="D, size of every entity embedding; even")
    encoder_dim: Size | Auto | None = Field(
        description="D of all heads but the structural one; even; null: as dim"
    )
    context: Literal["block-diagonal", "dense"] = Field(
        description="form of the relation's context"
    )
    relation_dim: int = Field(ge=1, le=4096, description="D_r of the dense context")
    hidden_dim: Width | Auto = Field(description="width of the image and text encoders")
    mask_missing: bool = Field(
        description="leave entities out of the heads of modalities that they have not; false: "
        "encode zeros as if they were features"
    )
    dropout: Fraction | Auto = Field(description="in the image and text encoders")
    head_dropout: Fraction | Auto = Field(description="on the head embedding and on the query")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.modalities != AUTO and len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"model.modalities must not repeat, got {self.modalities}")
        for name, dim in (("dim", self.dim), ("encoder_dim", self.encoder_dim)):
            if isinstance(dim, int) and dim % 2:
                raise ValueError(f"model.{name} must be even (2 x 2 blocks), got {dim}")
        return self


class ModelParams(ModelSettings):
    """The same with every value chosen, as the model takes it."""

    modalities: Modalities
    dim: Size
    encoder_dim: Size | None
    hidden_dim: Width
    dropout: Fraction
    head_dropout: Fraction

    def dim_of(self, head: str) -> int:
        """Returns D of a head by its name."""
        return self.dim if head == "structural" or self.encoder_dim is None else self.encoder_dim


class FusionParams(Section):
    """Stage one of the fusion: low-rank bilinear pooling and the contrastive term."""

    form: Literal["full", "narrow"] = Field(
        description="full: products of whole embeddings, as the paper has; narrow: structure, "
        "modulated by products of a few numbers of each modality, which is faster"
    )
    rank: int = Field(
        ge=0,
        le=1024,
        description="terms summed; in the full form one of full size per modality, those beyond "
        "narrow; 0: no fused channel",
    )
    dropout: Fraction = Field(description="on the inputs of the pooling")
    residual: bool = Field(description="add a vector of its own to each fused entity")
    complement: bool = Field(
        description="train the fused head on what the image and text heads leave open"
    )
    detach: bool = Field(description="keep the fused head's gradient out of the modality encoders")
    contrastive_weight: float = Field(ge=0.0, le=100.0, description="0 switches the term off")
    contrastive_temperature: float = Field(
        gt=0.0, le=10.0, description="lower: pairs that are hard to tell apart count more"
    )


class DecisionParams(Section):
    """Stage two of the fusion: learned weights of the heads' predictions."""

    weights: Literal["equal", "global", "per-query"] = Field(
        description="fixed, one fitted set, or with offsets by relation and by degree"
    )
    shrinkage: float = Field(
        ge=0.0,
        description="held-out queries' worth of pull of the offsets towards the global weights",
    )


class TrainSettings(Section):
    """Optimisation and selection; `auto` is chosen by the stage `tune`."""

    seed: int = Field(ge=0, lt=2**63, description="of initial weights, batches and dropout")
    epochs: Count | Auto = Field(description="at most; early stopping ends sooner")
    loss: Literal["cross-entropy", "binary-cross-entropy"] = Field(
        description="the paper's is the binary one"
    )
    label_smoothing: Fraction = Field(description="of the binary cross-entropy")
    batch_size: Count | Auto = Field(description="(head, relation) query rows per step")
    positives_per_row: Count | Auto = Field(description="more answers: more rows (softmax only)")
    sampled_candidates: Samples | Auto = Field(description="answers scored per step; 0 scores all")
    embedding_learning_rate: TableRate | Auto = Field(description="Adagrad, for the tables")
    network_learning_rate: NetworkRate | Auto = Field(description="Adam, for everything else")
    average_decay: float = Field(ge=0.0, lt=1.0, description="of the weights' moving average")
    n3: Penalty | Auto = Field(description="weight of the structural head's N3 penalty")
    encoder_n3: Penalty | Auto = Field(description="the same for the image and text heads")
    fused_n3: Penalty | Auto = Field(description="the same for the fused head")
    relation_weight: Penalty | Auto = Field(
        description="weight of the loss of predicting relations; structural head, block-diagonal"
    )
    validate_every: Count | Auto = Field(description="epochs between validations")
    patience: Count | Auto = Field(
        description="validations without gain before stopping; auto: half as many epochs as the "
        "best one took, at least 5 validations"
    )
    device: Device = Field(description=DEVICE)
    processes: int = Field(ge=1, le=64, description=PROCESSES)
    precision: Literal["float32", "bfloat16"] = Field(description="bfloat16 is used on CUDA only")


class TrainParams(TrainSettings):
    """The same with every value chosen, as the trainer takes it."""

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
    """The choice of every value that is `auto`."""

    trials: int = Field(ge=0, le=1000, description="short trainings at most; 0: rules of thumb")
    seed: int = Field(ge=0, lt=2**62, description="of the trials")


class EvaluateParams(Section):
    """Ranking."""

    batch_size: int = Field(ge=1, description="queries scored at once")
    device: Device = Field(description=DEVICE)
    processes: int = Field(ge=1, le=64, description=PROCESSES)


class PredictParams(Section):
    """New facts."""

    top_k: int = Field(ge=1, description="new facts written")
    confirmed_top_k: int = Field(ge=0, description="facts of valid and test written beside them")
    answers_per_query: int = Field(ge=1, description="facts kept from one query")
    min_relation_affinity: float = Field(
        ge=0.0,
        le=1.0,
        description="share of the entities like one that have a relation, for it to be asked",
    )
    max_queries: int = Field(ge=1, description="the most plausible queries are asked first")
    device: Device = Field(description=DEVICE)


class Params(Section):
    """The whole of `params.yaml`."""

    dataset: DatasetParams
    prepare: PrepareParams
    fetch: FetchParams
    media: MediaParams
    images: ImagesParams
    image_features: ImageFeaturesParams
    text_features: TextFeaturesParams
    model: ModelSettings
    fusion: FusionParams
    decision: DecisionParams
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


class SettledParams(Params):
    """The whole of `params.yaml` with every value chosen."""

    model: ModelParams
    train: TrainParams


ModelT = TypeVar("ModelT", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Reads plain words by the core schema of YAML 1.2, which DVC writes: `yes` is a word.

    PyYAML follows YAML 1.1, by which `dvc exp run -S train.n3=0.00001`, written down by DVC as
    `1e-05`, would be a string, and the language `no` would be false.
    """


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), _first
    )
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def read_yaml(text: str) -> Any:
    """Reads YAML as DVC writes it, see `_Loader`.

    Raises:
        yaml.YAMLError: If it is malformed.
    """
    return yaml.load(text, _Loader)


def load_params(path: Path) -> Params:
    """Reads and checks the whole parameter file.

    Args:
        path: A YAML file with every section of `Params`.

    Returns:
        The typed parameters.

    Raises:
        ConfigError: If the file is missing or malformed, or any key is unknown or missing, or any
            value is of the wrong type or out of its bounds. All faults are listed at once.
    """
    try:
        raw = read_yaml(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f"{path} is not a file; run from the project's root") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    return validate(Params, raw, str(path))


def validate(model: type[ModelT], raw: object, source: str) -> ModelT:
    """Checks `raw` against `model`, listing every fault with key, value, bound and `source`.

    Raises:
        ConfigError: If there is at least one fault.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = [
            _describe(fault, model) for fault in error.errors() if fault["loc"][-1:] != (_AUTO_TAG,)
        ]
        raise ConfigError("\n".join(f"{source}: {fault}" for fault in faults)) from error


_AUTO_TAG = f"literal['{AUTO}']"
_ALTERNATIVE = re.compile(r"constrained-|list\[")
"""How pydantic's path names the value that a key takes in place of `auto`."""


def _describe(fault: Any, model: type[BaseModel]) -> str:
    """Words one pydantic fault for the person who wrote the file."""
    path = tuple(part for part in fault["loc"] if not _ALTERNATIVE.match(str(part)))
    if path != fault["loc"] and fault["loc"][-1] != path[-1]:
        alternative = _describe({**fault, "loc": path}, model)
        return alternative.replace(", got ", f", or {AUTO}, got ", 1)
    key = ".".join(str(part) for part in path) or "the file"
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _keys(model), n=1)
        return f"unknown key {key}" + (f"; did you mean {near[0]}?" if near else "")
    if fault["type"] == "missing":
        return f"key {key} is missing"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    if fault["type"] == "too_short":
        return f"{key} must list at least {fault['ctx']['min_length']}, got {fault['input']!r}"
    bound = fault["msg"].replace("Input should", "must").replace("a valid int", "an int")
    bound = bound.replace("a valid", "a")
    return f"{key} {bound[0].lower() + bound[1:]}, got {fault['input']!r}"


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Lists the dotted keys of a model tree."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys.extend(_keys(inner, f"{prefix}{name}."))
    return keys
