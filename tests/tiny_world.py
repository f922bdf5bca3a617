"""A tiny multimodal graph with missing media, and models and parameters to go with it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from imf_core.base.config import SettledParams
from imf_core.base.device import unsharded
from imf_core.base.sections import validate
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.model.imf import IMF
from imf_core.model.saved import build_model
from imf_core.paths.channel import PathChannel, build_channel
from imf_core.paths.network import PathNetwork, PathSpec

ROOT = Path(__file__).parents[1]

SMALL = {
    "model.modalities": ["structure", "image", "text"],
    "model.dim": 8,
    "model.encoder_dim": None,
    "model.relation_dim": 4,
    "model.hidden_dim": 8,
    "model.dropout": 0.0,
    "model.head_dropout": 0.0,
    "fusion.form": "full",
    "fusion.contrastive_weight": 0.05,
    "fusion.rank": 2,
    "fusion.residual": False,
    "fusion.complement": False,
    "fusion.detach": False,
    "fusion.dropout": 0.0,
    "train.epochs": 4,
    "train.batch_size": 16,
    "train.positives_per_row": 2,
    "train.sampled_candidates": 0,
    "train.embedding_learning_rate": 0.1,
    "train.network_learning_rate": 2e-3,
    "train.n3": 0.1,
    "train.encoder_n3": 0.05,
    "train.fused_n3": 0.05,
    "train.relation_weight": 0.0,
    "train.validate_every": 1,
    "train.patience": 100,
    "train.device": "cpu",
    "evaluate.device": "cpu",
}
"""Values that tests set over `params.yaml`: small sizes for fast training."""

NUM_CONTINENTS, NUM_COUNTRIES, NUM_LANGUAGES = 3, 15, 4
COUNTRIES = range(NUM_CONTINENTS, NUM_CONTINENTS + NUM_COUNTRIES)
LONELY = NUM_CONTINENTS
"""A country with neither image nor text."""

UNSEEN_RELATIONS = (0, 2)
"""Relations with answers without images (continents, languages); other answers mostly have one."""


def small_params(overrides: Mapping[str, object] | None = None) -> SettledParams:
    """Reads `params.yaml`, with small sizes and then `overrides` ("section.key") put in."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for dotted, value in {**SMALL, **(overrides or {})}.items():
        section, key = dotted.split(".")
        raw[section][key] = value
    return validate(SettledParams, raw, "params of a test")


def tiny_graph() -> Graph:
    """15 countries: each in one of 3 continents, next to the next one, with one of 4 languages."""
    facts = []
    for number, country in enumerate(COUNTRIES):
        language = NUM_CONTINENTS + NUM_COUNTRIES + number % NUM_LANGUAGES
        facts.append((country, 0, number % NUM_CONTINENTS))
        facts.append((country, 1, COUNTRIES[(number + 1) % NUM_COUNTRIES]))
        facts.append((country, 2, language))
    number = torch.arange(len(facts))
    triples = torch.tensor(facts)
    is_valid, is_test = number % 7 == 3, number % 7 == 5
    labels = [f"e{i:02}" for i in range(NUM_CONTINENTS + NUM_COUNTRIES + NUM_LANGUAGES)]
    return Graph(
        entity_labels=labels,
        entity_names=[label.upper() for label in labels],
        entity_descriptions=[""] * len(labels),
        relation_labels=["in", "next_to", "speaks"],
        relation_names=["in", "next to", "speaks"],
        triples={
            "train": triples[~is_valid & ~is_test],
            "valid": triples[is_valid],
            "test": triples[is_test],
        },
    )


LOOPED = 1
"""The relation `next_to`; `looped_graph` has a loop of it in train."""


def looped_graph() -> Graph:
    """The tiny graph with a loop in train: the first country is next to itself."""
    graph = tiny_graph()
    loop = torch.tensor([[COUNTRIES[0], LOOPED, COUNTRIES[0]]])
    train = torch.cat([graph.triples["train"], loop])
    return replace(graph, triples={**graph.triples, "train": train})


def tiny_tables() -> dict[str, FeatureTable]:
    """Images of most countries, texts of most entities; missing vectors are zeros."""
    num_entities = NUM_CONTINENTS + NUM_COUNTRIES + NUM_LANGUAGES
    generator = torch.Generator().manual_seed(5)
    has_image = torch.zeros(num_entities, dtype=torch.bool)
    has_image[list(COUNTRIES)] = True
    has_image[COUNTRIES[4]] = False
    has_text = torch.ones(num_entities, dtype=torch.bool)
    has_text[COUNTRIES[7]] = False
    has_image[LONELY] = has_text[LONELY] = False
    return {
        name: FeatureTable(
            torch.randn(num_entities, size, generator=generator) * present.unsqueeze(1),
            present,
            {"model": f"made up {name}"},
        )
        for name, size, present in (("image", 5, has_image), ("text", 6, has_text))
    }


def no_features() -> FeatureTable:
    """The table of a modality that no entity has."""
    num_entities = tiny_graph().num_entities
    is_present = torch.zeros(num_entities, dtype=torch.bool)
    return FeatureTable(torch.zeros(num_entities, 1), is_present, {"model": "none"})


def tiny_model(
    overrides: Mapping[str, object] | None = None,
    tables: dict[str, FeatureTable] | None = None,
    graph: Graph | None = None,
) -> IMF:
    """Makes the model of the tiny graph with large enough random weights everywhere."""
    params = small_params(overrides)
    model = build_model(graph or tiny_graph(), tables or tiny_tables(), params.model, params.fusion)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def tiny_paths(graph: Graph) -> PathChannel:
    """Makes a channel of paths with random weights for a graph."""
    torch.manual_seed(3)
    return build_channel(PathNetwork(PathSpec(8, 2, 3)).eval(), graph)


def every_query() -> Tensor:
    """Returns each (entity, relation with inverses) of the tiny graph, shape: (E * 2R, 2)."""
    graph = tiny_graph()
    entities = torch.arange(graph.num_entities)
    return torch.cartesian_prod(entities, torch.arange(2 * graph.num_relations))


class TableScorer:
    """Looks scores up in a table, shape: (E, 2R, E); its one channel has the same scores."""

    channel_names = ("only",)
    device = torch.device("cpu")

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.shard = unsharded(len(table))

    def batch_size(self, wanted: int) -> int:
        """Takes any batch."""
        return wanted

    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Looks the rows of the queries up."""
        rows = self.table[queries[:, 0], queries[:, 1]]
        yield from (rows, rows)
