"""Charts as Vega-Lite specifications, drawn by the page.

A colour that starts with two dashes is a variable of the page's style sheet, looked up when the
chart is drawn, so that charts are dark where the page is. Axes keep the order of the data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imf_core.model.imf import IMF
from imf_core.report.comparison import Ranked

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

SERIES = {
    "this model": "--full",
    "all together": "--full",
    "structure only": "--baseline",
    "structure": "--structure",
    "image": "--image",
    "text": "--text",
    "fused": "--fused",
    "paths": "--paths",
    "calibrated": "--full",
    "as scored": "--baseline",
}
"""Colour of everything that charts tell apart, the same in all of them."""

ROW_PIXELS = 26

WHOLE_NUMBERS = "datum.value % 1 ? '' : format(datum.value, 'd')"
"""Labels of an axis of epochs: over few of them, ticks stand between epochs as well."""


def draw_bars(rows: Rows, label: str, value: str, title: str) -> Spec:
    """Draws one horizontal bar per row, coloured by `series`."""
    return {
        "data": {"values": list(rows)},
        "height": ROW_PIXELS * len(rows),
        "encoding": {
            "y": {"field": label, "type": "nominal", "sort": None, "title": None},
            "x": {"field": value, "type": "quantitative", "title": title},
        },
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 3},
                "encoding": {"color": {**_colour(rows), "legend": None}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "color": "--ink"},
                "encoding": {"text": {"field": value, "format": ".1f"}},
            },
        ],
    }


def draw_pairs(rows: Rows, label: str, value: str, label_title: str | None, title: str) -> Spec:
    """Draws upright bars in groups: one per `series` at each label."""
    return {
        "data": {"values": list(rows)},
        "height": 220,
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "x": {
                "field": label,
                "type": "nominal",
                "sort": None,
                "title": label_title,
            },
            "xOffset": {"field": "series", "sort": None},
            "y": {"field": value, "type": "quantitative", "title": title},
            "color": _colour(rows),
        },
    }


def draw_stacks(rows: Rows, label: str, value: str, title: str) -> Spec:
    """Draws one horizontal bar per label, divided among the series."""
    return {
        "data": {"values": list(rows)},
        "height": (ROW_PIXELS - 4) * len({row[label] for row in rows}),
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": label, "type": "nominal", "sort": None, "title": None},
            "x": {
                "field": value,
                "type": "quantitative",
                "title": title,
                "scale": {"domain": [0, 100]},
            },
            "color": _colour(rows),
            "order": {"field": "order", "type": "quantitative"},
        },
    }


def draw_curves(rows: Rows, value: str, title: str, selected_epoch: int | None) -> Spec:
    """Draws a line per series over epochs, and a rule at the selected one."""
    curves: Spec = {
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": "epoch",
                "type": "quantitative",
                "title": "epoch",
                "axis": {"labelExpr": WHOLE_NUMBERS},
            },
            "y": {
                "field": value,
                "type": "quantitative",
                "title": title,
                "scale": {"zero": False},
            },
            "color": _colour(rows),
        },
    }
    if len({row["series"] for row in rows}) == 1:
        curves["encoding"]["color"]["legend"] = None
    layers = [curves]
    if selected_epoch is not None:
        layers.append(
            {
                "data": {"values": [{"epoch": selected_epoch}]},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": "--ink"},
                "encoding": {"x": {"field": "epoch", "type": "quantitative"}},
            }
        )
    return {"data": {"values": list(rows)}, "height": 240, "layer": layers}


def draw_reliability(rows: Rows) -> Spec:
    """Draws the share of true answers over the probability that they were given."""
    share = {"type": "quantitative", "scale": {"domain": [0, 100]}}
    return {
        "height": 280,
        "layer": [
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 100, "y": 100}]},
                "mark": {"type": "line", "strokeDash": [4, 4], "color": "--ink"},
                "encoding": {
                    "x": {"field": "x", "type": "quantitative"},
                    "y": {"field": "y", "type": "quantitative"},
                },
            },
            {
                "data": {"values": list(rows)},
                "mark": {"type": "line", "point": {"size": 45}, "strokeWidth": 2},
                "encoding": {
                    "x": {"field": "probability", "title": "probability given, %", **share},
                    "y": {"field": "share", "title": "of these true, %", **share},
                    "color": _colour(rows),
                },
            },
        ],
    }


def _colour(rows: Rows) -> Spec:
    """Colours by `series`, in the order in which the rows name them."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    colours = [SERIES.get(name, "--other") for name in names]
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": names, "range": colours},
        "legend": {"title": None, "orient": "top"},
    }


QUERIES_AT_ONCE = 1 << 16


@torch.no_grad()
def average_weights(model: IMF, ranked: Ranked, num_relations: int) -> NDArray[np.float64]:
    """Averages the decision weights over the test queries of each relation, both directions.

    Args:
        model: The trained model.
        ranked: The test queries.
        num_relations: R.

    Returns:
        Rows sum to one, or are zeros where test has no query of the relation, shape: (R, K).
    """
    device = next(model.parameters()).device
    parts = []
    for queries in torch.from_numpy(ranked.queries(num_relations)).split(QUERIES_AT_ONCE):
        queries = queries.to(device)  # noqa: PLW2901
        parts.append(model.decision.weights(queries, model.takes_part(queries)))
    weights = torch.cat(parts).double().cpu().numpy()
    total = np.zeros((num_relations, weights.shape[1]))
    np.add.at(total, ranked.facts[:, 1], weights)
    average: NDArray[np.float64] = total / np.maximum(
        total.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny
    )
    return average
