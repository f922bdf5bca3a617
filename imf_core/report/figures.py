"""Every figure of the page: a chart, a sentence that says what it shows, and its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imf_core.report import charts
from imf_core.report.comparison import (
    BASELINE,
    FULL,
    Group,
    MetricsRow,
    Ranked,
    count_ranks,
    format_channel,
)

RELATIONS_DRAWN = 25
BARS_DRAWN = frozenset({"full", "channel", "baseline", "committed"})


@dataclass(frozen=True)
class Figure:
    """A chart, with a summary and a table for readers who cannot see it.

    Attributes:
        name: Unique on the page.
        title: Title of the chart.
        summary: The finding, in one or two sentences.
        spec: Specification in Vega-Lite.
        columns: Titles of the table of the numbers.
        rows: Its cells.
    """

    name: str
    title: str
    summary: str
    spec: charts.Spec
    columns: list[str]
    rows: list[list[str]]


def draw_metrics(rows: Sequence[MetricsRow]) -> Figure:
    """Draws the MRR of the model, its channels and what it is compared with."""
    drawn = [row for row in rows if row.kind in BARS_DRAWN]
    values: list[dict[str, Any]] = [
        {"who": row.title, "mrr": as_percent(row.metrics["mrr"]), "series": _series_of(row)}
        for row in drawn
    ]
    best = max(drawn, key=lambda row: row.metrics["mrr"])
    return Figure(
        "metrics",
        "MRR on test",
        f"The longest bar is that of {best.title}, {format_percent(best.metrics['mrr'], 1)}.",
        charts.draw_bars(values, "who", "mrr", "MRR on test, %"),
        ["Who", "MRR, %"],
        [[each["who"], f"{each['mrr']:.1f}"] for each in values],
    )


def draw_ranks(full: Ranked, baseline: Ranked | None) -> Figure:
    """Draws how many true answers end up at which rank."""
    models = {FULL: count_ranks(full)}
    if baseline is not None:
        models[BASELINE] = count_ranks(baseline)
    values = [
        {"rank": title, "share": as_percent(share), "series": name}
        for place in range(len(models[FULL]))
        for name, bins in models.items()
        for title, _, share in [bins[place]]
    ]
    first, top = models[FULL][0][2], sum(share for *_, share in models[FULL][:3])
    return Figure(
        "ranks",
        "Where the true answer stands",
        f"Of all test questions, {format_percent(first)} have the true answer in first place and "
        f"{format_percent(top)} among the first ten.",
        charts.draw_pairs(values, "rank", "share", "rank of the true answer", "questions, %"),
        ["Rank", *(f"{name}, % of questions" for name in models)],
        [
            [models[FULL][place][0], *(f"{100 * bins[place][2]:.1f}" for bins in models.values())]
            for place in range(len(models[FULL]))
        ],
    )


def draw_groups(
    name: str, title: str, axis: str | None, wording: str, groups: Sequence[Group]
) -> Figure:
    """Draws the MRR of both models on groups of questions.

    Args:
        name: Unique on the page.
        title: What is drawn.
        axis: Title of the groups' axis.
        wording: Of a group in a sentence, `{}` where its title goes.
        groups: At least one.
    """
    values = []
    for group in groups:
        values.append({"group": group.title, "mrr": as_percent(group.full), "series": FULL})
        if group.baseline is not None:
            values.append(
                {"group": group.title, "mrr": as_percent(group.baseline), "series": BASELINE}
            )
    return Figure(
        name,
        title,
        _format_gains(wording, groups),
        charts.draw_pairs(values, "group", "mrr", axis, "MRR on test, %"),
        ["Questions about an entity", "Questions", "MRR, %", "Structure only, %", "Gain, points"],
        [
            [
                group.title,
                f"{group.queries:,}",
                f"{100 * group.full:.1f}",
                "" if group.baseline is None else f"{100 * group.baseline:.1f}",
                "" if group.gain is None else format_points(group.gain),
            ]
            for group in groups
        ],
    )


def draw_weights(
    weights: NDArray[np.float64],
    channels: Sequence[str],
    names: Sequence[str],
    counts: Sequence[int],
) -> Figure:
    """Draws how the decision divides its trust among the channels.

    Args:
        weights: From `average_weights`, shape: (R, K).
        channels: Their names.
        names: Of the relations.
        counts: Test queries of each relation.
    """
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda each: (-counts[each], each))
    drawn = order[:RELATIONS_DRAWN]
    words = [format_channel(channel) for channel in channels]
    values = [
        {
            "relation": names[relation],
            "weight": as_percent(weights[relation, place]),
            "series": word,
            "order": place,
        }
        for relation in drawn
        for place, word in enumerate(words)
    ]
    total = np.average(weights[order], axis=0, weights=np.array(counts)[order])
    ranking = np.argsort(-total, kind="stable").tolist()
    parts = ", ".join(f"{words[place]} {format_percent(total[place])}" for place in ranking)
    cut = f" The {len(drawn)} relations with most test facts are drawn." * (len(order) > len(drawn))
    return Figure(
        "weights",
        "Whom the decision listens to",
        f"Over all test questions: {parts}.{cut}",
        charts.draw_stacks(values, "relation", "weight", "weight in the decision, %"),
        ["Relation", *(f"{word}, %" for word in words)],
        [
            [names[relation], *(f"{100 * weight:.0f}" for weight in weights[relation])]
            for relation in drawn
        ],
    )


def _format_gains(wording: str, groups: Sequence[Group]) -> str:
    """Formats the gain of the full model in each group."""
    parts = [
        f"{format_points(group.gain)} points {wording.format(group.title)}"
        for group in groups
        if group.gain is not None
    ]
    return f"Gain in MRR over structure only: {', '.join(parts)}." if parts else "This model alone."


def _series_of(row: MetricsRow) -> str:
    """Returns the colour's name for a row of metrics."""
    kinds = {"full": FULL, "baseline": BASELINE, "committed": "committed"}
    return kinds.get(row.kind) or row.title.removesuffix(" channel")


def as_percent(fraction: float) -> float:
    """Rounds to what no chart can show."""
    return round(100 * float(fraction), 4)


def format_percent(fraction: float, digits: int = 0) -> str:
    """Writes a fraction in per cent: 85 %, which no line is broken in."""
    return f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"


def format_points(fraction: float) -> str:
    """Writes a difference of fractions in points of a per cent, with its sign."""
    return f"{100 * fraction:+.1f}".replace("-", "−")
