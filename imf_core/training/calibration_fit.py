"""Fits the calibration of a selected model on valid by cross-fitting.

Calibration data are the best answers to held-out questions and whether they are right. A decision
looks better calibrated on the facts it was fitted on than elsewhere, so the data of each half of
valid come from a decision fitted on the other half, as in selection.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.base.bounds import max_sample_facts
from imf_core.base.config import DecisionParams
from imf_core.base.device import concatenate_rows
from imf_core.base.terminal import track
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, build_known_tails, known_tails_in, with_inverses
from imf_core.model.decision import Calibration, Candidates
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from imf_core.training.decision_fit import fit_decision, score_held_out

SHOWN = 10
"""Answers per question, about as many as a person looks at."""

MAX_FACTS = 10_000
"""Largest number of held-out facts used; far fewer suffice to fit two numbers."""


@dataclass(frozen=True)
class CalibrationData:
    """The best answers to questions with held-out answers.

    Attributes:
        log_probs: Log-probability of each answer among all entities, as scored, shape: (P,), dtype:
            float64.
        log_odds: Log-odds against the other candidates, shape: (P,), dtype: float64.
        is_true: Whether the answer is a held-out fact, shape: (P,), dtype: bool.
    """

    log_probs: Tensor
    log_odds: Tensor
    is_true: Tensor


@torch.no_grad()
def collect_calibration_data(
    scorer: Scorer,
    asked: Tensor,
    held_out: Tensor,
    known: KnownTails,
    num_relations: int,
    batch_size: int,
) -> CalibrationData:
    """Asks for the tail and the head of held-out facts and checks the best answers.

    Each distinct question is asked once.

    Args:
        scorer: The model, in one process.
        asked: Facts to ask about, an evenly spaced sample if there are more than `MAX_FACTS`, or
            fewer on a large graph (`imf_core.base.bounds`), shape: (N, 3), dtype: long, N at least
            one.
        held_out: Facts that make an answer true, shape: (M, 3), dtype: long.
        known: Known answers; they are no candidates.
        num_relations: R.
        batch_size: Queries scored at once, at most.

    Returns:
        The calibration data, on the CPU.
    """
    sample = sample_evenly(asked, known.num_entities)
    questions = with_inverses(sample, num_relations)[:, :2].unique(dim=0)
    truth = build_known_tails(held_out, known.num_entities, num_relations)
    batches = questions.split(scorer.probability_batch_size(batch_size))
    shown = track(batches, "calibration, batches", len(batches))
    return gather(_judge(scorer, batch, truth, known) for batch in shown)


def sample_evenly(asked: Tensor, num_entities: int) -> Tensor:
    """Returns all facts, or an evenly spaced sample of them if there are too many to score.

    Args:
        asked: shape: (N, 3), dtype: long, N at least one.
        num_entities: E, which bounds the sample (`imf_core.base.bounds`).
    """
    step = -(-len(asked) // min(MAX_FACTS, max_sample_facts(num_entities)))
    return asked[::step]


def gather(parts: Iterable[CalibrationData]) -> CalibrationData:
    """Concatenates calibration data."""
    return CalibrationData(*concatenate_rows([*vars(part).values()] for part in parts))


def _judge(
    scorer: Scorer, questions: Tensor, truth: KnownTails, known: KnownTails
) -> CalibrationData:
    combined = scorer.score_all_tails(questions).combined
    candidates = Candidates(combined, *known.lookup(questions))
    rows, tails = candidates.best(SHOWN)
    is_answer = torch.zeros(combined.shape, dtype=torch.bool)
    is_answer[truth.lookup(questions)] = True
    return CalibrationData(
        combined[rows, tails].double().cpu(),
        candidates.log_odds(rows, tails).cpu(),
        is_answer[rows.cpu(), tails.cpu()],
    )


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
