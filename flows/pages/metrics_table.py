"""The metrics of a run as Markdown, with the changes since the previous run."""

from collections.abc import Iterator, Mapping
from typing import Any

from imf_core.markdown import table

COLUMNS = {"mrr": "MRR", "hits_at_1": "Hits@1", "hits_at_3": "Hits@3", "hits_at_10": "Hits@10"}
SIDES = ("tail", "head")

_SPLITS = {
    "test": "Test: filtered ranking over all entities, both directions, per cent",
    "valid": "Valid: the model was selected on it, so these are optimistic",
}

Metrics = Mapping[str, Any]


def metrics_table(before: Metrics | None, after: Metrics) -> str:
    """Formats a table for test and one for valid.

    Args:
        before: Content of `results/evaluation/metrics.json` before the run, None without it.
        after: Its present content.

    Returns:
        Markdown; changes are in brackets, in percentage points.
    """
    parts = ["Nothing has changed since the run before."] if before == after else []
    if before is not None and not are_comparable(before, after):
        parts.append("The run before had other test facts, so no change is shown.")
        before = None
    for split, title in _SPLITS.items():
        earlier = dict(_rows((before or {}).get(split, {})))
        rows = [
            [title, *(_cell(metrics, earlier.get(title), key) for key in COLUMNS)]
            for title, metrics in _rows(after[split])
        ]
        parts.append(f"{title}\n\n{table(['', *COLUMNS.values()], rows)}")
    return "\n\n".join(parts)


def are_comparable(before: Metrics, after: Metrics) -> bool:
    """Returns whether two runs have the same test facts."""
    return before.get("test_digest") == after.get("test_digest")


def _rows(metrics: Metrics) -> Iterator[tuple[str, Metrics]]:
    """Yields the rows of a split: every single channel, the full model and its two directions."""
    for name, value in metrics.items():
        if isinstance(value, Mapping) and name not in SIDES:
            yield f"{name} channel alone", value
    if metrics:
        yield "**full model**", metrics
    for side in SIDES:
        if side in metrics:
            yield f"asked for the {side}", metrics[side]


def _cell(metrics: Metrics, before: Metrics | None, key: str) -> str:
    """Formats a fraction in per cent, with its change if there is any."""
    now = f"{100 * metrics[key]:.1f}"
    change = f"{100 * (metrics[key] - (before or metrics)[key]):+.1f}"
    return now if float(change) == 0 else f"{now} ({change})"
