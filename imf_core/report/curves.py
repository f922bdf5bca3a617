"""Figures of the training and of the reliability of probabilities, from the run's CSV files."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imf_core.base.errors import DataError
from imf_core.report import charts
from imf_core.report.comparison import CHANNEL_WORDS, format_channel
from imf_core.report.figures import Figure, as_percent


def read_csv(
    path: Path, columns: Mapping[str, Callable[[str], Any]], delimiter: str = ","
) -> list[dict[str, Any]]:
    """Reads a table with a line of titles.

    Args:
        path: A file in UTF-8.
        columns: Titles of the columns to read, each with a function from cell to value, such as
            `int`.
        delimiter: Separator of the cells.

    Raises:
        DataError: If the file is missing or damaged, or lacks a column.
    """
    if not path.exists():
        raise DataError(f"{path} is missing; run `dvc repro`")
    again = "delete it and run `dvc repro` to make it again"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, restval="")
            missing = [title for title in columns if title not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} has no column {', '.join(missing)}; {again}")
            return [{title: make(row[title]) for title, make in columns.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); {again}") from error


COMBINED_CURVE = "valid_mrr"
MAX_POINTS = 100
"""Points of a curve, evenly spread: more are not visible, and the page stays small."""


_RELIABILITY = {
    "probability": str,
    "from": str,
    "to": str,
    "answers": int,
    "mean_probability": float,
    "share_true": float,
}


_TRIALS = {
    "channels": str,
    "trial": int,
    "setting": str,
    "epochs": int,
    "valid_mrr": float,
    "ended": str,
    "is_chosen": str,
}


def read_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Reads what was logged while training: points (epoch, value) by name.

    Raises:
        DataError: If a file is damaged.
    """
    curves = {}
    for path in sorted(folder.glob("*.tsv")):
        rows = read_csv(path, {"step": int, path.stem: float}, "\t")
        curves[path.stem] = [(row["step"], row[path.stem]) for row in rows]
    return curves


def read_reliability(path: Path) -> list[dict[str, Any]]:
    """Reads how often answers of a given probability were true.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return read_csv(path, _RELIABILITY)


def read_trials(path: Path) -> list[dict[str, Any]]:
    """Reads the trials of the stage `tune`; none where it made none.

    Raises:
        DataError: If the file is damaged.
    """
    return read_csv(path, _TRIALS) if path.exists() and path.read_text("utf-8").strip() else []


def draw_training(
    curves: Mapping[str, Sequence[tuple[int, float]]], selected_epoch: int | None
) -> list[Figure]:
    """Draws the loss and the MRR on valid, together and of each channel, over the epochs.

    Args:
        curves: Points (epoch, value) by the name under which they were logged.
        selected_epoch: Of the model that was kept.
    """
    valid: list[dict[str, Any]] = [
        {"epoch": epoch, "mrr": as_percent(value), "series": _format_curve(name)}
        for name in (COMBINED_CURVE, *(f"{COMBINED_CURVE}_{channel}" for channel in CHANNEL_WORDS))
        if name in curves
        for epoch, value in _thin(curves[name])
    ]
    loss: list[dict[str, Any]] = [
        {"epoch": epoch, "loss": value, "series": "all together"}
        for epoch, value in _thin(curves.get("loss", ()))
    ]
    figures = []
    kept = f" Epoch {selected_epoch}, at the dashed line, was kept." if selected_epoch else ""
    if valid:
        best = as_percent(max(value for _, value in curves[COMBINED_CURVE]))
        spec = charts.draw_curves(valid, "mrr", "MRR on valid, %", selected_epoch)
        figures.append(
            Figure(
                "valid",
                "MRR on valid",
                f"All together, the channels reach {best:.1f} % at best.{kept}",
                spec,
                ["Epoch", "Channel", "MRR on valid, %"],
                [[str(row["epoch"]), row["series"], f"{row['mrr']:.1f}"] for row in valid],
            )
        )
    if loss:
        figures.append(
            Figure(
                "loss",
                "Training loss",
                f"From {loss[0]['loss']:.2f} at epoch {loss[0]['epoch']} to "
                f"{loss[-1]['loss']:.2f} at epoch {loss[-1]['epoch']}.",
                charts.draw_curves(loss, "loss", "loss", selected_epoch),
                ["Epoch", "Loss"],
                [[str(row["epoch"]), f"{row['loss']:.3f}"] for row in loss],
            )
        )
    return figures


def draw_reliability(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws how often answers of a given probability are true.

    Args:
        rows: From `read_reliability`.
    """
    filled = [row for row in rows if row["answers"]]
    values = [
        {
            "probability": as_percent(row["mean_probability"]),
            "share": as_percent(row["share_true"]),
            "series": row["probability"],
        }
        for row in filled
    ]
    return Figure(
        "reliability",
        "How often an answer of some probability is true",
        "On the dashed line, a probability means what it says; below it, the model is too sure.",
        charts.draw_reliability(values),
        ["Probability", "From", "To", "Answers", "Given on average, %", "True, %"],
        [
            [
                row["probability"],
                row["from"],
                row["to"],
                f"{row['answers']:,}",
                f"{each['probability']:.1f}",
                f"{each['share']:.1f}",
            ]
            for row, each in zip(filled, values, strict=True)
        ],
    )


def _format_curve(name: str) -> str:
    """Returns the channel of a curve: image for valid_mrr_visual, and so on."""
    channel = name.removeprefix(COMBINED_CURVE).strip("_")
    return format_channel(channel) if channel else "all together"


def _thin(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Returns at most `MAX_POINTS` of the points of a curve, the first and the last among them."""
    count = min(MAX_POINTS, len(points))
    return [points[place * (len(points) - 1) // max(1, count - 1)] for place in range(count)]
