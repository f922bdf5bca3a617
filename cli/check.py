"""`imf check FILE`, `imf check --train`: verdicts on facts, and facts of train that look wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from cli.results import format_split, open_model
from imf_core.base.artifacts import write_parquet
from imf_core.base.device import explain_out_of_memory
from imf_core.base.terminal import shorten
from imf_core.inference.question_file import JUDGED, judge_file
from imf_core.inference.suspicion import find_suspicious

SHOWN = 100
"""Verdicts that are printed, at most."""

REMEDY = "set predict.device: cpu"


@explain_out_of_memory(REMEDY)
def judge_facts(model: Path | None, path: Path, out: Path | None) -> None:
    """Prints whether the facts of a file are true; see `judge_file`.

    Args:
        model: A packed model; None for that of the last run.
        path: TSV or Parquet.
        out: Parquet file of all columns; None to print alone.

    Raises:
        QuestionError: If the file cannot be read, or no fact can be judged.
    """
    verdicts = judge_file(open_model(model), path)
    rows = verdicts.slice(0, SHOWN).to_pylist()
    judged = [row for row in rows if row["status"] == JUDGED]
    width = max((len(format_split(row["known_in"])) for row in judged), default=0)
    print("\nverdict  probability  threshold  log p (tail)  log p (head)\n")
    for row in rows:
        if row["status"] == JUDGED:
            print(
                f"{'true' if row['is_true'] else 'false':7}  {row['probability']:11.3f}  "
                f"{row['threshold']:9.3f}  {row['log_prob_tail']:12.2f}  "
                f"{row['log_prob_head']:12.2f}  {format_split(row['known_in']):{width}}  "
                f"{_format_fact(row)}"
            )
        else:
            print(f"none     {row['place']}: {row['status']}")
    num_judged = len(verdicts) - verdicts["is_true"].null_count
    num_true = sum(verdicts["is_true"].drop_null().to_pylist())
    if len(verdicts) > SHOWN:
        print(f"and {len(verdicts) - SHOWN:,} more; --out FILE.parquet writes all")
    print(
        f"\nfacts: {len(verdicts):,}, true: {num_true:,}, false: {num_judged - num_true:,}, "
        f"without verdict: {len(verdicts) - num_judged:,}"
    )
    _write(verdicts, out)


@explain_out_of_memory(REMEDY)
def list_suspicious(model: Path | None, count: int, out: Path | None) -> None:
    """Prints the facts of train that look wrong; see `find_suspicious`.

    Args:
        model: A packed model; None for that of the last run.
        count: Facts, at most.
        out: Parquet file of the same facts; None to print alone.
    """
    completer = open_model(model)
    facts = find_suspicious(completer.graph, completer.scorer, count)
    print("\nsuspicion  affinity of head, tail  further  surprise\n")
    for row in facts.to_pylist():
        print(
            f"{row['suspicion']:9.1f}  {row['affinity_head']:16.2f}, {row['affinity_tail']:.2f}  "
            f"{row['further']:7.2f}  {row['surprise']:8.1f}  {_format_fact(row)}"
        )
    _write(facts, out)


def _format_fact(row: Mapping[str, Any]) -> str:
    return " - ".join(shorten(row[f"{role}_name"]) for role in ("head", "relation", "tail"))


def _write(table: pa.Table, out: Path | None) -> None:
    if out is not None:
        write_parquet(out, table)
        print(f"all columns in {out}")
