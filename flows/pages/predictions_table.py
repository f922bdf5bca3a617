"""The predicted facts of a run as Markdown: the most probable one of each relation."""

from pathlib import Path
from typing import Any

from imf_core.artifacts import read_parquet
from imf_core.markdown import escape, table

_SHARE = "share_"
_NEW = "new"
"""Value of `known_in` for a fact that is neither in valid nor in test."""


def predictions_table(path: Path, n: int) -> str:
    """Formats the most probable fact of each relation, most probable first.

    Args:
        path: `results/predictions.parquet`.
        n: Largest number of rows.

    Returns:
        Markdown. A fact is true if it is in valid or test, which the channels were not trained on.

    Raises:
        DataError: If the file is missing or damaged.
    """
    best: dict[str, dict[str, Any]] = {}
    for fact in read_parquet(path, ["relation", "probability", "known_in"]).to_pylist():
        best.setdefault(fact["relation"], fact)
    rows = [_row(fact) for fact in list(best.values())[:n]]
    if not rows:
        return "No fact is predicted."
    return table(["Fact", "Probability", "Verdict", "Most by channel"], rows)


def _row(fact: dict[str, Any]) -> list[str]:
    names = (fact[f"{part}_name"] for part in ("head", "relation", "tail"))
    share, channel = max(
        (value, key.removeprefix(_SHARE)) for key, value in fact.items() if key.startswith(_SHARE)
    )
    verdict = _NEW if fact["known_in"] == _NEW else f"true ({fact['known_in']})"
    return [
        " – ".join(map(escape, names)),
        f"{fact['probability']:.2f}",
        verdict,
        f"{channel} {share:.0%}",
    ]
