"""`imf show`, `imf export`: prints and exports the results of the last run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imf_core
from imf_core.base.artifacts import read_json, read_parquet
from imf_core.base.device import resolve_device
from imf_core.base.modality import UnseenEncoder, find_modalities
from imf_core.base.params_file import load_params
from imf_core.base.path_text import format_path
from imf_core.base.terminal import METRIC_TITLES
from imf_core.graph.decided import DECIDED
from imf_core.inference.completer import Completer, Tables
from imf_core.inference.export import write_embeddings, write_ntriples, write_tsv
from imf_core.inference.fact_table import LEAST_PROBABILITY, NEW, read_shares, select_new
from imf_core.inference.model_folder import load_completer, pack
from imf_core.model.saved import load_config
from imf_core.prepare.summary import describe
from stages.features import feature_inputs
from stages.paths import (
    DATA_SUMMARY,
    EVALUATION,
    FEATURES,
    GRAPH,
    MODEL,
    PARAMS,
    PREDICTIONS,
    REPORT,
)
from stages.training import describe_rise

SMALLEST_SHARE = 0.005
"""Smaller shares would be printed as 0 %."""

SIDES = ("head", "tail")
SHOWN_FACTS = 15
NOTHING_PREDICTED = (
    "none: no answer passed predict.min_relation_affinity; lower it in params.yaml to see "
    "weaker ones"
)


def show() -> None:
    """Prints the table of `results/evaluation/metrics.json` and the top of the predictions."""
    path = EVALUATION / "metrics.json"
    test = read_json(path)["test"]
    print("\n" + describe(read_json(DATA_SUMMARY))[0])
    channels = [
        name for name, value in test.items() if isinstance(value, dict) and name not in SIDES
    ]
    print("\nTest, filtered ranking over all entities, both directions, realistic ties:\n")
    print(
        f"{'':22}"
        + "".join(f"{title:>9}" for title in METRIC_TITLES.values())
        + f"{'Mean rank':>12}"
    )
    for name in channels:
        print(_row(f"{name} channel", test[name]))
    print(_row("full model", test))
    print(_row("  asked for the tail", test["tail"]))
    print(_row("  asked for the head", test["head"]))
    training = read_json(MODEL / "config.json")["training"]
    if training["is_still_rising"]:
        print(f"\nNote: {describe_rise(training['trained_epochs'])}.")
    print(
        "\nFor each relation, the most probable fact outside train, and whether valid or test, from"
    )
    best = _best_of_each_relation(read_parquet(PREDICTIONS).to_pylist())
    has_paths = any(fact.get("reasons") for fact in best)  # older runs have no such column
    below = "; below it the best path of facts" if has_paths else ""
    print(f"which the channels have not learned, confirms it{below}:\n")
    for fact in best:
        shares = format_channel_shares(read_shares(fact))
        print(
            f"  {fact['probability']:.2f}  {format_split(fact['known_in']):13} "
            f"{fact['head_name']} - {fact['relation_name']} - {fact['tail_name']}"
            + (f"  [{shares}]" if shares else "")
        )
        if reasons := fact.get("reasons"):
            print(f"{'':24}{format_path(reasons[0])}")
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
    cells = "".join(f"{100 * metrics[key]:9.1f}" for key in METRIC_TITLES)
    return f"{title:22}{cells}{metrics['mean_rank']:12.1f}"


def export_facts(path: Path, above: float | None, prefix: str | None) -> None:
    """Writes the new facts of the last run's predictions.

    Args:
        path: A file that ends in `.tsv` or `.nt`.
        above: Least probability; `LEAST_PROBABILITY` where None.
        prefix: Prefix of labels that are not IRIs, for N-Triples.
    """
    least = LEAST_PROBABILITY if above is None else above
    facts = select_new(read_parquet(PREDICTIONS), least)
    if path.suffix.lower() == ".tsv":
        write_tsv(facts, path)
    else:
        write_ntriples(facts, path, prefix)
    print(f"{len(facts)} new facts of probability {least} and more in {path}")


def export_embeddings(folder: Path) -> None:
    """Writes the embeddings of each channel's entities and relations; see `write_embeddings`."""
    for path in write_embeddings(load_workspace_completer(), folder):
        print(f"embeddings in {path}")


def export_model(folder: Path) -> None:
    """Packs the model of the last run with all that answers need; see `pack`."""
    pack(load_workspace_completer(), folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"model in {folder}, {size / 1e6:.1f} MB: ask it with `imf ask --model {folder}`")


def load_workspace_completer() -> Completer:
    """Loads the model of the last run on the device of section `predict`."""
    params = load_params(PARAMS)
    device = resolve_device(params.predict.device, "predict.device")

    def open_encoders(tables: Tables) -> Mapping[str, UnseenEncoder]:
        return {
            name: each.fit_unseen(
                feature_inputs(params.images), params.features(each), tables[name]
            )
            for name, each in find_modalities().items()
            if name in tables
        }

    paths = {name: FEATURES[name] for name in load_config(MODEL).features}
    return load_completer(GRAPH, MODEL, paths, device, open_encoders)


def open_model(folder: Path | None) -> Completer:
    """Opens a packed model, or that of the last run where the folder is None."""
    return load_workspace_completer() if folder is None else imf_core.load(folder)


def format_split(known_in: str) -> str:
    """Formats the split of a fact: `new`, `true (valid)`, or a decision: `rejected`."""
    return known_in if known_in in {NEW, *DECIDED} else f"true ({known_in})"


def format_channel_shares(shares: Mapping[str, float]) -> str:
    """Formats channel shares: `structural 41% textual 59%`.

    Args:
        shares: Shares by channel; their sum is one.
    """
    return " ".join(
        f"{channel} {share:.0%}" for channel, share in shares.items() if share >= SMALLEST_SHARE
    )
