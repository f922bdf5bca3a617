"""`imf decide`, `imf queue`, `imf export --accepted`: decisions of people about facts."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from imf_core.base.artifacts import file_sha256, read_parquet, write_parquet
from imf_core.base.device import explain_out_of_memory, resolve_device
from imf_core.base.errors import DataError, QuestionError
from imf_core.base.params_file import load_params
from imf_core.base.terminal import shorten
from imf_core.graph.decided import ACCEPTED
from imf_core.graph.graph import load_graph
from imf_core.inference.completer import Completer
from imf_core.inference.curation import (
    TRAIN,
    decide_facts,
    find_queue,
    label_facts,
    read_decided_facts,
)
from imf_core.inference.export import write_ntriples, write_tsv
from imf_core.inference.fact_table import ROLES
from imf_core.inference.model_folder import load_completer
from imf_core.inference.remarks import remark_decisions
from imf_core.model.saved import WEIGHTS, load_config
from imf_core.prepare.decisions import append_decisions, find_latest, read_decisions
from stages.paths import FEATURES, GRAPH, MODEL, PARAMS, PREDICTIONS

HASH_DIGITS = 12
REMEDY = "set predict.device: cpu"

PROBABILITY_NOTE = (
    "The probability is of the fact, from the questions for its tail and its head; that of "
    "`imf ask` is of an answer, from one question."
)

ACCEPTED_COLUMNS = ("by", "at", "note")
"""Columns of accepted facts, after those of all exported facts."""


def find_decisions_file() -> Path:
    """Returns the path of `dataset.decisions`."""
    return Path(load_params(PARAMS).dataset.decisions)


def open_curator_model() -> Completer:
    """Loads the model of the last run, without the encoders of unseen entities."""
    device = resolve_device(load_params(PARAMS).predict.device, "predict.device")
    paths = {name: FEATURES[name] for name in load_config(MODEL).features}
    return load_completer(GRAPH, MODEL, paths, device)


def hash_model() -> str:
    """Returns the first digits of the SHA-256 of the weights of the last run."""
    return file_sha256(MODEL / WEIGHTS)[:HASH_DIGITS]


def find_name(given: str | None) -> str:
    """Returns the name of the person who decides.

    Args:
        given: Of the command line; None for `user.name` of git.

    Raises:
        QuestionError: If there is none.
    """
    name = given or find_git_name()
    if name is None:
        raise QuestionError(
            "a decision needs the name of a person; give --by NAME, or set it for git with `git "
            "config user.name NAME`"
        )
    return " ".join(name.split())


def find_git_name() -> str | None:
    """Returns `user.name` of git, None without one."""
    command = ["git", "config", "user.name"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git is not installed
        return None
    return found.stdout.strip() or None


@explain_out_of_memory(REMEDY)
def decide(
    decision: str, words: Sequence[str], by: str | None, note: str, file: Path | None
) -> None:
    """Appends a decision about one fact, or about all facts of a file, and prints it.

    Without a model of the present graph, decisions have no probability; a line says why.

    Args:
        decision: `accepted`, `rejected`, `unsure` or `withdrawn`.
        words: Head, relation and tail; empty with a file.
        by: Name of the person; None for that of git.
        note: Reason or source.
        file: TSV or Parquet.

    Raises:
        QuestionError: If a name is unknown or ambiguous, or the note or the name is too long.
        DataError: If the file of decisions has a line that cannot be read.
    """
    name, path = find_name(by), find_decisions_file()
    graph = load_graph(GRAPH)
    if file is None:
        head, relation, tail = words
        facts = label_facts(graph, [(head, relation, tail)])
    else:
        facts = read_decided_facts(file, graph)
    completer = model = None
    try:
        completer, model = open_curator_model(), hash_model()
    except DataError as error:  # none yet, or of a run before other decisions
        print(f"without a probability: {error}", file=sys.stderr)
    try:
        made = decide_facts(facts, decision, name, note, completer, model)
    except ValidationError as error:
        first = error.errors()[0]
        remedy = "; shorten it" if first["type"] == "string_too_long" else ""
        raise QuestionError(f"{first['loc'][0]}: {first['msg']}{remedy}") from error
    earlier, written = append_decisions(path, made)
    remarks = remark_decisions(graph, earlier, written)
    for each, remark in zip(written, remarks, strict=True):
        probability = "" if each.probability is None else f"{each.probability:.2f}  "
        print(
            f"{each.decision}  {probability}{' - '.join(map(shorten, each.fact))}  "
            f"by {shorten(each.by)}" + (f"\n  {remark.text}" if remark.text else "")
        )
    lines = "1 line" if len(made) == 1 else f"{len(made)} lines"
    changes = any(remark.changes_graph for remark in remarks)
    effect = "The next `imf run` takes it in." if changes else "The graph stays as it is."
    print(f"{lines} added to {path}; commit it. {effect}")


@explain_out_of_memory(REMEDY)
def show_queue(count: int, out: Path | None) -> None:
    """Prints the facts most worth a look; see `find_queue`.

    Args:
        count: Facts, at most.
        out: Parquet file of the same facts; None to print alone.
    """
    decided = find_latest(read_decisions(find_decisions_file()))
    queue = find_queue(open_curator_model(), read_parquet(PREDICTIONS), decided, count)
    print("\nkind      probability  threshold  related  score  fact\n")
    for row in queue.to_pylist():
        print(
            f"{row['kind']:8}  {row['probability']:11.2f}  {row['threshold']:9.2f}  "
            f"{row['related']:7}  {row['score']:5.2f}  "
            + " - ".join(shorten(row[f"{role}_name"]) for role in ROLES)
        )
    print(f"\nfacts: {len(queue)}; decided before: {len(decided)}")
    print(PROBABILITY_NOTE)
    if TRAIN in queue["kind"].to_pylist():
        print(
            "Facts of train are ranked by suspicion, computed without the fact itself. The model "
            "was trained on them, so their probability is high even if they are wrong."
        )
    if out is not None:
        write_parquet(out, queue)
        print(f"all columns in {out}")


def export_accepted(path: Path, prefix: str | None) -> None:
    """Writes the accepted facts, in the order of their decisions.

    Args:
        path: A file that ends in `.tsv` or `.nt`.
        prefix: Prefix of labels that are not IRIs, for N-Triples.
    """
    facts, left_out = _accepted_facts()
    if path.suffix.lower() == ".tsv":
        write_tsv(facts, path, ACCEPTED_COLUMNS)
    else:
        write_ntriples(facts, path, prefix)
    print(f"{len(facts)} accepted facts in {path}")
    if left_out:
        print(
            f"left out: {left_out} with a label that the graph lacks; results/data.json lists them",
            file=sys.stderr,
        )


def _accepted_facts() -> tuple[pa.Table, int]:
    """Returns accepted facts of the graph's entities with names, and the number of all others."""
    latest = find_latest(read_decisions(find_decisions_file()))
    names = {role: _read_names("relation" if role == "relation" else "entity") for role in ROLES}
    accepted = [each for each in latest.values() if each.decision == ACCEPTED]
    rows = [each for each in accepted if all(getattr(each, role) in names[role] for role in ROLES)]
    columns: dict[str, list[object]] = {}
    for role in ROLES:
        labels = [getattr(each, role) for each in rows]
        columns[role] = labels
        columns[f"{role}_name"] = [names[role][label] for label in labels]
    columns["probability"] = [each.probability for each in rows]
    columns |= {name: [getattr(each, name) for each in rows] for name in ACCEPTED_COLUMNS}
    return pa.table(columns), len(accepted) - len(rows)


def _read_names(kind: str) -> dict[str, str]:
    """Returns the names of entities or relations by label."""
    file = GRAPH / ("relations.parquet" if kind == "relation" else "entities.parquet")
    table = read_parquet(file, [f"{kind}_label", "name"])
    return dict(zip(table[f"{kind}_label"].to_pylist(), table["name"].to_pylist(), strict=True))
