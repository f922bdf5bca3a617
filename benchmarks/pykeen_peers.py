"""PyKEEN's ComplEx and TuckER on a graph: trained, selected and evaluated by PyKEEN itself.

PyKEEN's experiments have no values for the data sets in its package, so a few are tried. Both
models train like the best ComplEx on Kinships in its study (Ali et al., arXiv 2006.13365): local
closed world, Adam, inverse relations, and for ComplEx the cross entropy. Initial values, dropout,
label smoothing and learning rates of TuckER are those of PyKEEN's experiments on larger data sets.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.complex_n3 import Trained
from benchmarks.plain_scorer import Score
from imf_core.data.graph import Graph

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
