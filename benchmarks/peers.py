"""Methods to compare with: plain ComplEx-N3, and PyKEEN's ComplEx and TuckER.

ComplEx-N3 is written from its description by Lacroix et al. (ICML 2018, arXiv 1806.07297): a
softmax over all entities, inverse relations, Adagrad and the weighted nuclear 3-norm. PyKEEN's
experiments have no values for the data sets in its package, so a few are tried. Both models train
like the best ComplEx on Kinships in its study (Ali et al., arXiv 2006.13365). Functions import
PyKEEN when called, since it takes seconds and much memory.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.accuracy import DENSE, read_params
from benchmarks.graphs import World
from imf_core.base.device import unsharded
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, RankTable, rank_triples
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import find_loops, known_tails_in, with_inverses

Score = Callable[[Tensor], Tensor]
"""Maps (head, relation with inverses), shape: (B, 2), to scores of entities, shape: (B, E)."""

RANKING_BATCH_SIZE = 512


class PlainScorer:
    """Scores of a model without channels.

    Args:
        score: The model.
        num_entities: E.
        loops: Whether a relation joins an entity to itself in train, shape: (2R,), dtype: bool.
            The query's own entity ranks last for the others; None ranks it like any entity.
    """

    channel_names: tuple[str, ...] = ()
    device = torch.device("cpu")

    def __init__(self, score: Score, num_entities: int, loops: Tensor | None = None) -> None:
        self.shard = unsharded(num_entities)
        self._score, self._loops = score, loops

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once."""
        return wanted

    @torch.no_grad()
    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Yields the scores of a batch of queries, once for the only model."""
        scores = self._score(queries)
        if self._loops is not None:
            heads, relations = queries.unbind(dim=1)
            rows = (~self._loops[relations]).nonzero().flatten()
            scores[rows, heads[rows]] = scores.min() - 1
        yield scores


def rank(score: Score, graph: Graph, split: str, *, leave_out_own: bool = False) -> RankTable:
    """Ranks the facts of a split in both directions.

    Args:
        score: The model.
        graph: Valid is filtered by train and valid, test by all facts.
        split: `valid` or `test`.
        leave_out_own: Rank the query's own entity last where train has no loop of the relation.
    """
    known = known_tails_in(graph, ["train", "valid", "test"][: 2 if split == "valid" else 3])
    scorer = PlainScorer(score, graph.num_entities, find_loops(graph) if leave_out_own else None)
    return rank_triples(
        scorer, graph.triples[split], known, graph.num_relations, RANKING_BATCH_SIZE
    )


def mrr(table: RankTable) -> float:
    """Returns the mean reciprocal rank."""
    return rank_metrics(table.ranks[COMBINED], table.num_candidates)["mrr"]


RANK, COMPLEX_BATCH_SIZE, LEARNING_RATE, COMPLEX_EPOCHS, VALIDATE_EVERY = 256, 200, 0.1, 100, 2


class ComplEx(nn.Module):
    """Re<e_h, w_r, conj(e_t)>; each row of a table has K real, then K imaginary parts."""

    def __init__(self, num_entities: int, num_relations: int, rank: int = RANK) -> None:
        super().__init__()
        self.entities = nn.Parameter(1e-3 * torch.randn(num_entities, 2 * rank))
        self.relations = nn.Parameter(1e-3 * torch.randn(2 * num_relations, 2 * rank))

    def forward(self, queries: Tensor) -> Tensor:
        """Scores every entity as the tail of each query, shape: (B, 2) -> (B, E)."""
        real, imaginary = self.entities[queries[:, 0]].chunk(2, dim=1)
        real_r, imaginary_r = self.relations[queries[:, 1]].chunk(2, dim=1)
        products = real * real_r - imaginary * imaginary_r, real * imaginary_r + imaginary * real_r
        return torch.cat(products, dim=1) @ self.entities.T

    def loss(self, facts: Tensor, n3: float) -> Tensor:
        """Returns the mean cross entropy of the tails and the N3 penalty, shape: (B, 3) -> ()."""
        factors = (
            self.entities[facts[:, 0]],
            self.relations[facts[:, 1]],
            self.entities[facts[:, 2]],
        )
        penalty = sum((_moduli(factor) ** 3).sum() for factor in factors) / len(facts)
        return F.cross_entropy(self(facts[:, :2]), facts[:, 2]) + n3 * penalty


@dataclass(frozen=True)
class Trained:
    """A model with the weights of its best epoch on valid."""

    model: nn.Module
    valid_mrr: float
    epoch: int


def train_complex_n3(graph: Graph, n3: float, seed: int) -> Trained:
    """Trains on train and keeps the best epoch on valid."""
    torch.manual_seed(seed)
    model = ComplEx(graph.num_entities, graph.num_relations)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=LEARNING_RATE)
    facts = with_inverses(graph.triples["train"], graph.num_relations)
    best = Trained(model, -1.0, 0)
    for epoch in range(1, COMPLEX_EPOCHS + 1):
        for batch in facts[torch.randperm(len(facts))].split(COMPLEX_BATCH_SIZE):
            optimizer.zero_grad()
            model.loss(batch, n3).backward()
            optimizer.step()
        if epoch % VALIDATE_EVERY == 0:
            valid_mrr = mrr(rank(model, graph, "valid"))
            if valid_mrr > best.valid_mrr:
                best = Trained(copy.deepcopy(model), valid_mrr, epoch)
    return best


def _moduli(factor: Tensor) -> Tensor:
    real, imaginary = factor.chunk(2, dim=1)
    return (real.square() + imaginary.square()).sqrt()


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


Values = Mapping[str, Any]

GRIDS: Mapping[str, Sequence[Values]] = {
    "ComplEx": [
        {"dim": 256, "learning_rate": learning_rate, "n3": n3}
        for n3 in (0.0, 0.01)
        for learning_rate in (0.003, 0.01)
    ],
    "TuckER": [
        {"dim": 64, "learning_rate": learning_rate, "dropout": dropout}
        for learning_rate, dropout in ((0.003, (0.3, 0.4, 0.5)), (0.01, (0.2, 0.2, 0.3)))
    ],
}
"""Values tried. TuckER's published size is 200, which takes several times as long."""

BATCH_SIZE, EPOCHS, FREQUENCY, PATIENCE = 128, 200, 5, 4
MRR = "both.realistic.inverse_harmonic_mean_rank"


def train_pykeen(name: str, graph: Graph, values: Values, seed: int) -> Trained:
    """Trains `ComplEx` or `TuckER`; PyKEEN's early stopper keeps the best epoch on valid."""
    from pykeen.evaluation import RankBasedEvaluator  # noqa: PLC0415
    from pykeen.models import ComplEx, TuckER  # noqa: PLC0415
    from pykeen.stoppers import EarlyStopper  # noqa: PLC0415
    from pykeen.training import LCWATrainingLoop  # noqa: PLC0415

    torch.manual_seed(seed)
    facts = _make_facts(graph, "train", create_inverse_triples=True)
    if name == "ComplEx":
        model = ComplEx(
            triples_factory=facts,
            embedding_dim=values["dim"],
            loss="crossentropy",
            entity_initializer="xavier_uniform",
            relation_initializer="xavier_uniform",
            random_seed=seed,
            regularizer="powersum",
            regularizer_kwargs={"weight": values["n3"], "p": 3.0},
        )
    else:
        dropout = {f"dropout_{number}": p for number, p in enumerate(values["dropout"])}
        model = TuckER(
            triples_factory=facts,
            embedding_dim=values["dim"],
            loss="bcewithlogits",
            random_seed=seed,
            **dropout,
        )
    stopper = EarlyStopper(
        model=model,
        evaluator=RankBasedEvaluator(filtered=True),
        training_triples_factory=facts,
        evaluation_triples_factory=_make_facts(graph, "valid"),
        evaluation_batch_size=512,
        frequency=FREQUENCY,
        patience=PATIENCE,
        metric=MRR,
        relative_delta=1e-3,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=values["learning_rate"])
    loop = LCWATrainingLoop(model=model, triples_factory=facts, optimizer=optimizer)
    loop.train(
        triples_factory=facts,
        num_epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        label_smoothing=0.0 if name == "ComplEx" else 0.1,
        stopper=stopper,
        use_tqdm=False,
    )
    return Trained(model, float(stopper.best_metric), stopper.best_epoch or 0)


def evaluate_pykeen(model: Any, graph: Graph) -> dict[str, float]:
    """Returns MRR and Hits@k on test by PyKEEN's evaluator, filtered by all facts."""
    from pykeen.evaluation import RankBasedEvaluator  # noqa: PLC0415

    result = RankBasedEvaluator(filtered=True).evaluate(
        model=model,
        mapped_triples=graph.triples["test"],
        additional_filter_triples=[graph.triples["train"], graph.triples["valid"]],
        batch_size=512,
        use_tqdm=False,
    )
    names = {"mrr": MRR} | {f"hits_at_{k}": f"both.realistic.hits_at_{k}" for k in (1, 10)}
    return {name: float(result.get_metric(key)) for name, key in names.items()}


def score_by_pykeen(model: Any, num_relations: int) -> Score:
    """Returns the model's scores of tails; for inverse relations, its scores of heads."""

    def score(queries: Tensor) -> Tensor:
        is_inverse = queries[:, 1] >= num_relations
        scores = torch.empty(len(queries), model.num_entities)
        scores[~is_inverse] = model.predict_t(queries[~is_inverse])
        tails, relations = queries[is_inverse].unbind(dim=1)
        asked = torch.stack([relations - num_relations, tails], dim=1)
        scores[is_inverse] = model.predict_h(asked)
        return scores

    return score


def _make_facts(graph: Graph, split: str, *, create_inverse_triples: bool = False) -> Any:
    from pykeen.triples import CoreTriplesFactory  # noqa: PLC0415

    return CoreTriplesFactory(
        graph.triples[split],
        graph.num_entities,
        graph.num_relations,
        create_inverse_triples=create_inverse_triples,
    )
