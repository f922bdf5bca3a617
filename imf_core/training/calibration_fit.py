"""Fits the calibration of a selected model on valid, as selection ranks it: half by half.

Decision weights have learned from the facts they were fitted on, and would look better calibrated
there than they are elsewhere. So each half of valid is judged under the decision of the other half.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from imf_core.config import DecisionParams
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.model.calibration import Calibration
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from imf_core.training.decision_fit import fit_decision, score_held_out
from imf_core.training.judged_answers import (
    SHOWN,
    CalibrationData,
    collect_calibration_data,
    gather,
)

DIGITS = 6
"""Of slope and offset: no more are settled, and further ones differ between kinds of CPU."""


def calibrate(
    model: IMF, graph: Graph, halves: Sequence[Tensor], decision: DecisionParams, batch_size: int
) -> Calibration:
    """Judges both halves of valid, each under the other's decision, and fits the calibration.

    True is what all of valid gives, as on test what all of test gives: half of it would find half
    as many right answers to a question, and probabilities fitted there would be too low.

    Args:
        model: With the selected weights; its decision is the same again in the end.
        graph: Train and valid are read.
        halves: Of valid, two, shape: (N, 3), dtype: long.
        decision: Section `decision` of the parameters.
        batch_size: Questions asked at once.
    """
    selected = copy.deepcopy(model.decision.state_dict())
    scorer = Scorer(model)
    train, seen = known_tails_in(graph, ["train"]), known_tails_in(graph, ("train", "valid"))
    num_relations = graph.num_relations
    judged = []
    for fitted, asked in (halves, halves[::-1]):
        held_out = score_held_out(scorer, fitted, seen, num_relations, batch_size)
        fit_decision(model.decision, held_out, decision)
        judged.append(
            collect_calibration_data(
                scorer, asked, graph.triples["valid"], train, num_relations, batch_size
            )
        )
    model.decision.load_state_dict(selected)
    return fit_calibration(gather(judged))


def fit_calibration(judged: CalibrationData) -> Calibration:
    """Minimises the cross entropy of judged answers over slope and offset.

    Args:
        judged: At least one answer. Where all of them are right, or all wrong, a weak pull towards
            "as it was" keeps the two numbers finite.
    """
    log_slope = torch.zeros((), dtype=torch.float64, requires_grad=True)
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_slope, offset], max_iter=100, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )
    is_true = judged.is_true.double()

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = log_slope.exp() * judged.log_odds + offset
        nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, is_true, reduction="sum")
        loss: Tensor = (nll + 0.5 * (log_slope.square() + offset.square())) / len(is_true)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return Calibration(
        slope=round(log_slope.exp().item(), DIGITS),
        offset=round(offset.item(), DIGITS),
        shown=SHOWN,
        answers=len(is_true),
        true_answers=int(judged.is_true.sum()),
    )
