"""Prints the last run's metrics and some predicted facts. Not a stage."""

import signal
from collections.abc import Mapping
from typing import Any

from imf_core.base.artifacts import read_json, read_parquet
from imf_core.inference.fact_table import read_shares
from imf_core.prepare.summary import describe
from stages.paths import DATA_SUMMARY, EVALUATION, MODEL, PREDICTIONS, REPORT
from stages.runner import run_stage
from stages.training import describe_rise
from stages.wording import format_channel_shares, format_split

COLUMNS = {"mrr": "MRR", "hits_at_1": "Hits@1", "hits_at_3": "Hits@3", "hits_at_10": "Hits@10"}
"""Printed columns: key in `metrics.json` and title."""
SIDES = ("head", "tail")
SHOWN_FACTS = 15
NOTHING_PREDICTED = (
    "none: no answer passed predict.min_relation_affinity; lower it in params.yaml to see "
    "weaker ones"
)


def main() -> None:
    """Prints the table of `results/evaluation/metrics.json` and the top of the predictions."""
    path = EVALUATION / "metrics.json"
    test = read_json(path)["test"]
    print("\n" + describe(read_json(DATA_SUMMARY))[0])
    channels = [
        name for name, value in test.items() if isinstance(value, dict) and name not in SIDES
    ]
    print("\nTest, filtered ranking over all entities, both directions, realistic ties:\n")
    print(f"{'':22}" + "".join(f"{title:>9}" for title in COLUMNS.values()) + f"{'Mean rank':>12}")
    for name in channels:
        print(_row(f"{name} channel", test[name]))
    print(_row("full model", test))
    print(_row("  asked for the tail", test["tail"]))
    print(_row("  asked for the head", test["head"]))
    training = read_json(MODEL / "config.json")["training"]
    if training["is_still_rising"]:
        print(f"\nNote: {describe_rise(training['trained_epochs'])}.")
    print(
        "\nThe most probable fact of each relation that train does not hold, and whether valid or"
    )
    print("test, which the channels have not learned from, confirm it:\n")
    best = _best_of_each_relation(read_parquet(PREDICTIONS).to_pylist())
    for fact in best:
        shares = format_channel_shares(read_shares(fact))
        print(
            f"  {fact['probability']:.2f}  {format_split(fact['known_in']):13} "
            f"{fact['head_name']} - {fact['relation_name']} - {fact['tail_name']}"
            + (f"  [{shares}]" if shares else "")
        )
    if not best:
        print(f"  {NOTHING_PREDICTED}")
    print(f"\nMetrics: {path}, with breakdowns beside it\nPredictions: {PREDICTIONS}")
    print(f"Report: {REPORT}, to be opened in a browser: all of this with pictures")


def _best_of_each_relation(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the most probable fact of each relation, most probable first, up to `SHOWN_FACTS`."""
    best: dict[str, dict[str, Any]] = {}
    for fact in facts:
        best.setdefault(fact["relation"], fact)
    return list(best.values())[:SHOWN_FACTS]


def _row(title: str, metrics: Mapping[str, Any]) -> str:
    """Formats one line of the table; fractions in per cent."""
    cells = "".join(f"{100 * metrics[key]:9.1f}" for key in COLUMNS)
    return f"{title:22}{cells}{metrics['mean_rank']:12.1f}"


if __name__ == "__main__":
    # A closed pipe (`| head`) ends the command silently.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    run_stage(main)
