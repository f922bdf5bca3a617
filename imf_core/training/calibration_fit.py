"""Fits the calibration of a selected model on valid by cross-fitting.

A decision looks better calibrated on the facts it was fitted on than elsewhere. So the calibration
data of each half of valid come from a decision fitted on the other half, as in selection.
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
from imf_core.training.calibration_data import (
    SHOWN,
    CalibrationData,
    collect_calibration_data,
    gather,
)
from imf_core.training.decision_fit import fit_decision, score_held_out

DIGITS = 6
"""Digits of slope and offset; further ones are not significant and differ between kinds of CPU."""


def calibrate(
    model: IMF, graph: Graph, halves: Sequence[Tensor], decision: DecisionParams, batch_size: int
) -> Calibration:
    """Collects calibration data from both halves of valid and fits the calibration.

    All of valid counts as true, since all of test does there. Half of it would confirm half as many
    answers, and the fitted probabilities would be too low.

    Args:
        model: Has the selected weights; its decision is restored at the end.
        graph: Train and valid are read.
        halves: Two halves of valid, shape: (N, 3), dtype: long.
        decision: Section `decision` of the parameters.
        batch_size: Queries scored at once.
    """
    selected = copy.deepcopy(model.decision.state_dict())
    scorer = Scorer(model)
    train, seen = known_tails_in(graph, ["train"]), known_tails_in(graph, ("train", "valid"))
    num_relations = graph.num_relations
    calibration_data = []
    for fitted, asked in (halves, halves[::-1]):
        held_out = score_held_out(scorer, fitted, seen, num_relations, batch_size)
        fit_decision(model.decision, held_out, decision)
        calibration_data.append(
            collect_calibration_data(
                scorer, asked, graph.triples["valid"], train, num_relations, batch_size
            )
        )
    model.decision.load_state_dict(selected)
    return fit_calibration(gather(calibration_data))


def fit_calibration(calibration_data: CalibrationData) -> Calibration:
    """Minimises the cross entropy of the calibration data over slope and offset.

    Args:
        calibration_data: At least one answer. A weak penalty keeps slope and offset finite where
        all answers
            are right, or all wrong.
    """
    log_slope = torch.zeros((), dtype=torch.float64, requires_grad=True)
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_slope, offset], max_iter=100, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )
    is_true = calibration_data.is_true.double()

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = log_slope.exp() * calibration_data.log_odds + offset
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
        true_answers=int(calibration_data.is_true.sum()),
    )
