"""Coordinate search: varies one key at a time, within a number of trials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Setting = dict[str, Any]
"""Values by `section.key`."""


@dataclass(frozen=True)
class Axis:
    """Values to try for one key.

    Attributes:
        key: `section.key`.
        factors: One factor, or a factor and its reciprocal. The search multiplies the best value so
            far by the first factor as long as that gains, and by the second only if the first did
            not gain, since it leads back. Empty if `values` lists the values.
        values: Values to try once, in this order.
        least_gain: A better value must raise the score by more than this: a smaller rise may be
            chance, or not worth the additional time.
        least: Lower bound of the values that factors lead to.
    """

    key: str
    factors: Sequence[float] = ()
    values: Sequence[Any] = ()
    least_gain: float = 0.0
    least: float = 0.0


def search(
    start: Setting, axes: Sequence[Axis], trial: Callable[[Setting], float], max_trials: int
) -> Setting:
    """Searches along one axis after the other and returns the best setting.

    Repeats from the best setting so far until no axis gains.

    Args:
        start: The first setting tried.
        axes: In the order of the search, the most important first. A key may have several.
        trial: Returns the score of a setting; the earlier of equal scores wins.
        max_trials: Largest number of settings tried, `start` included; 0 returns `start` untried.
    """
    scores: dict[tuple[Any, ...], float] = {}

    def is_better(setting: Setting, best: Setting, least_gain: float) -> bool:
        """Tries a setting unless it was tried before or no trial is left."""
        place, best_place = _place(setting), _place(best)
        if place in scores or len(scores) >= max_trials:
            return False
        scores[place] = trial(setting)
        return scores[place] > scores[best_place] + least_gain

    def go_along(axis: Axis, best: Setting) -> Setting:
        """Returns the best setting on an axis through a setting."""
        for value in axis.values:
            setting = {**best, axis.key: value}
            if is_better(setting, best, axis.least_gain):
                best = setting
        before = best
        for factor in axis.factors:
            while (value := _times(best[axis.key], factor)) >= axis.least and is_better(
                setting := {**best, axis.key: value}, best, axis.least_gain
            ):
                best = setting
            if best is not before:
                break
        return best

    best = start
    if max_trials > 0:
        scores[_place(start)] = trial(start)
    while True:
        before_round = best
        for axis in axes:
            best = go_along(axis, best)
        if best is before_round:
            return best


def _place(setting: Setting) -> tuple[Any, ...]:
    """Rounds values to two digits, so that dividing and multiplying by three leads back."""
    return tuple(
        float(f"{value:.2g}") if isinstance(value, float) else value for value in setting.values()
    )


def _times(value: float, factor: float) -> float:
    """Multiplies and rounds to four significant digits; an integer stays an integer, at least 1."""
    product = float(f"{value * factor:.4g}")
    return max(1, round(product)) if isinstance(value, int) else product
