"""PyKEEN's TuckER on a world: one channel like the dense model's structural one, no features.

PyKEEN takes seconds and much memory to import, so functions import it when called.
"""

from typing import Any

from torch import Tensor

from benchmarks.graphs import World
from benchmarks.recipes import DENSE, read_params

PYKEEN = "PyKEEN's TuckER"
"""Its name in the tables."""


def make_pykeen_facts(world: World, triples: Tensor) -> Any:
    """Makes a triples factory of some facts, with inverses, over all entities and relations."""
    from pykeen.triples import CoreTriplesFactory  # noqa: PLC0415

    graph = world.graph
    return CoreTriplesFactory(
        triples, graph.num_entities, graph.num_relations, create_inverse_triples=True
    )


def make_pykeen_tucker(facts: Any) -> Any:
    """Makes the model with the sizes and the loss of the dense recipe."""
    from pykeen.models import TuckER  # noqa: PLC0415

    model = read_params(DENSE).model
    return TuckER(
        triples_factory=facts,
        embedding_dim=model.dim,
        relation_dim=model.relation_dim,
        loss="bcewithlogits",
        random_seed=0,
    )
