"""Adds unseen entities and new facts to a trained model, without training.

The model is rebuilt with more rows per table of entities. Learned weights stay the same. The new
rows (structural embedding, embedding of an entity without image or text) are zeros, and a mask
keeps them out of every score.

New facts are read by the channel `paths` alone, and answer an unseen entity's questions alone: its
text or picture has never been seen beside facts. A model without that channel answers the questions
of unseen entities by its spare network, or by the pretrained one where no network was fine-tuned;
about known entities, their new facts then only count as known.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from imf_core.base.errors import QuestionError
from imf_core.base.modality import UnseenEncoder
from imf_core.graph.entities import entity_text
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.inference.names import Names, find_facts, folded, require_triples, require_type
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel, build_saved
from imf_core.paths.channel import build_channel
from imf_core.paths.pretrained import load_pretrained

LabelFacts = Sequence[tuple[str, str, str]]
"""(head, relation, tail) by labels or names."""

UNNAMED = "the new entity"
"""Label of an unseen entity without a name."""

Features = Mapping[str, tuple[Tensor, Tensor]]
"""By modality: features of M entities, zeros where missing, shape: (M, F), dtype: float32, and
whether an entity has the modality, shape: (M,), dtype: bool."""


@dataclass(frozen=True)
class UnseenEntity:
    """An entity that is not in the graph.

    Attributes:
        name: Its name and label, and a part of its text where there is a description; "" for none.
        description: Text about it, "" for none.
        image: File of a picture, None for none.
        features: Ready features by modality, in place of inputs, made like those of the graph,
            shape: (F,), dtype: float32.
        other_inputs: Inputs of other modalities, by modality: `{"numeric": "height 1.78"}`.
    """

    name: str = ""
    description: str = ""
    image: Path | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)
    other_inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses values of other types.

        Raises:
            QuestionError: If one is found.
        """
        require_type(self.name, str, "the name of an unseen entity", "a text")
        require_type(self.description, str, "the description of an unseen entity", "a text")
        if self.image is not None:
            require_type(self.image, (Path, str), "the image of an unseen entity", "a file's path")
        for modality, given in self.other_inputs.items():
            require_type(given, str, f"the {modality} input of an unseen entity", "a text")

    @property
    def label(self) -> str:
        """Its name, or `UNNAMED`."""
        return self.name or UNNAMED

    @property
    def inputs(self) -> dict[str, str]:
        """Inputs to encode, by modality."""
        found = dict(self.other_inputs)
        if self.description:
            found["text"] = entity_text("", self.name, self.description)
        if self.image is not None:
            found["image"] = str(self.image)
        return {each: value for each, value in found.items() if each not in self.features}


def pair_inputs(
    text: str | Sequence[str] | None, image: Path | str | Sequence[Path | str] | None
) -> list[UnseenEntity]:
    """Makes an entity of each text, picture or pair of both.

    Raises:
        QuestionError: If neither is given, not as many of both, or a value of another type.
    """
    texts, images = _listed(text, str, "text"), _listed(image, (str, Path), "image")
    if texts and images and len(texts) != len(images):
        raise QuestionError(
            f"give as many images as texts, got {len(images)} images and {len(texts)} texts"
        )
    if not (texts or images):
        raise QuestionError("give texts, images or as many of both, got neither")
    return [
        UnseenEntity("", texts[row] if texts else "", Path(images[row]) if images else None)
        for row in range(len(texts or images))
    ]


def _listed(given: Any, kind: type | tuple[type, ...], name: str) -> list[Any]:
    """Returns the values of an argument that is None, one value or several."""
    values = [given] if isinstance(given, kind) else [] if given is None else given
    form = {"text": "a text or a list of texts", "image": "a path or a list of paths"}[name]
    require_type(values, Iterable, name, form)
    for value in (listed := list(values)):
        require_type(value, kind, name, form)
    return listed


def find_new_entities(
    names: Names, facts: LabelFacts, given: Sequence[UnseenEntity] = ()
) -> list[UnseenEntity]:
    """Returns the given entities, then the ends of facts that are neither known nor given.

    Args:
        names: Finds the graph's entities.
        facts: New facts.
        given: Entities with inputs.

    Raises:
        QuestionError: If two new names differ in case or invisible characters alone, or an argument
            has another type.
    """
    require_triples(facts, "facts")
    require_type(given, Sequence, "entities", "a list of UnseenEntity")
    for entity in given:
        require_type(entity, UnseenEntity, "each of entities", "an UnseenEntity")
    labels = {each.label for each in given}
    ends = dict.fromkeys(end for head, _, tail in facts for end in (head, tail))
    new = [end for end in ends if end not in labels and not names.find_all(end)]
    of_form: dict[str, str] = {}
    for name in (*labels, *new):
        other = of_form.setdefault(folded(name), name)
        if other != name:
            raise QuestionError(
                f"two new entities are called {other!r} and {name!r}; write the name in one way"
            )
    return [*given, *map(UnseenEntity, new)]


def require_new_names(graph: Graph, entities: Sequence[UnseenEntity]) -> None:
    """Refuses labels that the graph or another entity has.

    Raises:
        QuestionError: If a label is taken.
    """
    taken = {*graph.entity_labels, *graph.entity_names}
    given: set[str] = set()
    for entity in entities:
        if entity.label in taken:
            raise QuestionError(
                f"the graph has {entity.label!r} already; give the new entity another name"
            )
        if entity.label in given:
            called = f"are called {entity.name!r}" if entity.name else "have no name"
            raise QuestionError(f"two unseen entities {called}; give each a name of its own")
        given.add(entity.label)


def encode_features(
    entities: Sequence[UnseenEntity],
    encoders: Mapping[str, UnseenEncoder],
    tables: Mapping[str, FeatureTable],
    config: SavedModel,
    with_facts: frozenset[str] = frozenset(),
) -> Features:
    """Encodes the inputs of unseen entities for the modalities that the model reads.

    Args:
        entities: M entities.
        encoders: Encoders of the graph's features, by modality.
        tables: The graph's features, by modality.
        config: Configuration of the model.
        with_facts: Labels of entities that need no input.

    Raises:
        QuestionError: If an entity has neither facts nor an input, or an input that the model does
            not read, features have another size, or `UnseenEncoder.encode` refuses an input.
    """
    read = [each for each in config.model.modalities if each != "structure"]
    for entity in entities:
        given = [*entity.inputs, *entity.features]
        is_empty = not given and entity.label not in with_facts
        if is_empty or not set(given) <= set(read):
            raise QuestionError(
                f"the model reads {', '.join(read) or 'structure alone'}, but {entity.label!r} "
                f"has {', '.join(given) or 'no input'}; leave out what it does not read, or train "
                "a model that lists it in model.modalities of params.yaml"
            )
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for modality in read:
        size = tables[modality].vectors.shape[1]
        vectors = torch.zeros(len(entities), size)
        is_present = torch.zeros(len(entities), dtype=torch.bool)
        rows, inputs = [], []
        for row, entity in enumerate(entities):
            if modality in entity.inputs:
                rows.append(row)
                inputs.append(entity.inputs[modality])
            elif modality in entity.features:
                vectors[row] = _checked(entity, modality, size)
                is_present[row] = True
        if inputs:
            if modality not in encoders:
                raise QuestionError(
                    f"the model has no encoder of {modality} features here: they were given "
                    "ready-made, or it is not a packed model (`imf export --model FOLDER` packs "
                    "one); give ready features of the new entity"
                )
            vectors[rows] = encoders[modality].encode(inputs)
            is_present[rows] = True
        found[modality] = vectors, is_present
    return found


def _checked(entity: UnseenEntity, modality: str, size: int) -> Tensor:
    features = torch.as_tensor(entity.features[modality], dtype=torch.float32)
    if features.shape != (size,) or not bool(features.isfinite().all()):
        raise QuestionError(
            f"the {modality} features of {entity.label!r} must be {size} finite numbers, as those "
            f"of the graph, got the shape {tuple(features.shape)}"
        )
    return features


def add_unseen_entities(
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    model: IMF,
    config: SavedModel,
    names: Sequence[str],
    features: Features,
    facts: LabelFacts = (),
) -> tuple[Graph, dict[str, FeatureTable], IMF]:
    """Adds M entities after all others, and facts to train.

    Args:
        graph: The graph.
        tables: Its features by modality.
        model: Trained on both; left as it is.
        config: Configuration of the model.
        names: Names and labels of the unseen entities.
        features: Their features, of all modalities that the model reads.
        facts: LabelFacts of these and other entities.

    Raises:
        QuestionError: If a name in the facts is unknown or ambiguous.

    Returns:
        Graph, features and model with M more entities; only the model's features.
    """
    larger = replace(
        graph,
        entity_labels=[*graph.entity_labels, *names],
        entity_names=[*graph.entity_names, *names],
        entity_descriptions=[*graph.entity_descriptions, *[""] * len(names)],
    )
    if facts:
        larger = _add_facts(larger, facts)
    more = {
        modality: replace(
            tables[modality],
            vectors=torch.cat([tables[modality].vectors, vectors]),
            is_present=torch.cat([tables[modality].is_present, is_present]),
        )
        for modality, (vectors, is_present) in features.items()
    }
    device = next(model.parameters()).device
    grown = build_saved(larger, more, config)
    if model.paths is not None and grown.paths is None:  # of earlier new facts
        network = copy.deepcopy(model.paths.network)
        grown.set_paths(build_channel(network, larger, answers_known=False))
    shapes = {key: value.shape for key, value in grown.state_dict().items()}
    grown.load_state_dict(
        {key: _grow(value.cpu(), shapes[key]) for key, value in model.state_dict().items()}
    )
    if facts and grown.paths is None:
        network = copy.deepcopy(model.spare_network) or load_pretrained()
        grown.set_paths(build_channel(network, larger, answers_known=False))
    unseen = torch.cat(
        [
            (~model.is_learned.cpu()).nonzero().flatten(),
            torch.arange(graph.num_entities, larger.num_entities),
        ]
    )
    grown.mark_unlearned(unseen)
    return larger, more, grown.to(device).eval()


@torch.no_grad()
def embed(model: IMF, entities: range) -> pa.Table:
    """Embeds unseen entities in the space of each channel but the structural one.

    Args:
        model: The model with these entities.
        entities: Their ids.

    Returns:
        A row for each entity and a column for each channel: float32 lists of length D, null where
        the entity lacks the channel's modality.
    """
    ids = torch.arange(entities.start, entities.stop, device=next(model.parameters()).device)
    columns = {}
    for channel, vectors in model.encode(ids).items():
        if channel != "structural":
            is_missing = ~model.channels[channel].is_present[ids].cpu().numpy()
            columns[channel] = pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.cpu().numpy().ravel()), vectors.shape[1], mask=pa.array(is_missing)
            )
    return pa.table(columns)


def _add_facts(graph: Graph, facts: LabelFacts) -> Graph:
    """Adds facts to train, but those that it has."""
    entities = Names("entity", graph.entity_labels, graph.entity_names)
    relations = Names("relation", graph.relation_labels, graph.relation_names)
    found = find_facts(facts, entities, relations)
    known = set(map(tuple, graph.triples["train"].tolist()))
    new = [fact for fact in dict.fromkeys(found) if fact not in known]
    train = torch.cat([graph.triples["train"], torch.tensor(new, dtype=torch.long).view(-1, 3)])
    return replace(graph, triples={**graph.triples, "train": train})


def _grow(value: Tensor, shape: torch.Size) -> Tensor:
    """Appends rows of zeros to a table with one row per entity."""
    if value.shape == shape:
        return value
    return torch.cat([value, value.new_zeros(shape[0] - len(value), *shape[1:])])
