"""Prints what `prepare` finds in data sets, as Markdown. Not a stage.

Fetches the source files of each set named on the command line (by default of every registered set;
`folder` and `rdf` are the graph at `dataset.path`) and prepares them in a temporary folder with the
`prepare` section of `params.yaml`. Only fetched files are kept.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from imf_core.base.config import Params, load_params
from imf_core.base.terminal import escape
from imf_core.graph.graph import SPLITS
from imf_core.graph.issues import issues_of
from imf_core.prepare.facts import CLASSES
from imf_core.prepare.prepare import prepare_graph
from imf_core.prepare.summary import Summary
from imf_core.sources.registry import FOLDER, RDF, find_dataset, load_registry
from stages.download import fill_raw
from stages.paths import PARAMS
from stages.runner import run_stage

Cell = Callable[[Summary], str]


def number(*keys: str) -> Cell:
    """Makes a cell of one number of the summary."""
    return lambda summary: f"{_value(summary, *keys):,}"


def numbers(section: str, *keys: str) -> Cell:
    """Makes a cell of several numbers of one section."""
    return lambda summary: " / ".join(f"{_value(summary, section, key):,}" for key in keys)


def per_split(*keys: str) -> Cell:
    """Makes a cell of a number for each existing split."""
    return lambda summary: " / ".join(
        f"{_value(summary, *keys)[split]:,}" for split in SPLITS if split in _value(summary, *keys)
    )


def of_held_out(section: str, key: str) -> Cell:
    """Makes a cell of a number for valid and for test."""
    return numbers(section, f"valid_{key}", f"test_{key}")


def coverage(noun: str) -> Cell:
    """Makes a cell of the number of entities with a property, and their share."""
    return lambda summary: (
        f"{_value(summary, 'entities', f'with_{noun}'):,} "
        f"({_value(summary, 'entities', f'share_with_{noun}'):.1%})"
    )


def copies(section: str) -> dict[str, Cell]:
    """Makes the cells of the facts of valid and test that train gives away."""
    return {
        "symmetric": of_held_out(section, "symmetric_copies"),
        "inverse": of_held_out(section, "inverse_copies"),
        "duplicate": of_held_out(section, "duplicate_copies"),
        "given away in all": of_held_out(section, "given_away"),
        "pairs linked in train": of_held_out(section, "pairs_linked_in_train"),
    }


TABLES: dict[str, dict[str, Cell]] = {
    "Lines as they come": {
        "entities": number("entities", "total"),
        "relations": number("relations", "total"),
        "lines (train / valid / test)": per_split("source", "lines"),
        "duplicate lines (likewise)": per_split("source", "duplicate_lines"),
        "valid lines in train / in test only / new": numbers(
            "source", "valid_in_train", "valid_in_test_only", "valid_new"
        ),
        "test lines in train": number("source", "test_in_train"),
    },
    "Lines as they come that train gives away (valid / test)": {
        **copies("source"),
        "entities unseen in train": of_held_out("source", "entities_unseen_in_train"),
        "relations unseen in train": of_held_out("source", "relations_unseen_in_train"),
    },
    "Facts as prepared": {
        "facts (train / valid / test)": per_split("facts"),
        "valid": lambda summary: str(summary["valid_source"]),
        "test": lambda summary: str(summary["test_source"]),
        "dropped (train / valid / test)": numbers(
            "source", "train_facts_dropped", "valid_facts_dropped", "test_facts_dropped"
        ),
        "valid facts in train": number("leaks", "valid_in_train"),
        "test facts in train": number("leaks", "test_in_train"),
    },
    "Facts as prepared that train gives away (valid / test)": {
        **copies("leaks"),
        "entities unseen in train": of_held_out("leaks", "entities_unseen_in_train"),
        "relations unseen in train": of_held_out("leaks", "relations_unseen_in_train"),
    },
    "Relations": {
        **{name: number("relations", "cardinality", name) for name in CLASSES},
        "without train fact": number("relations", "without_train_fact"),
        "symmetric": number("relations", "symmetric"),
        "inverse pairs": number("relations", "inverse_pairs"),
        "duplicate pairs": number("relations", "duplicate_pairs"),
    },
    "Entities with": {
        "a name": coverage("name"),
        "a description": coverage("description"),
        "an image source": coverage("image_source"),
        "none of these": number("entities", "with_none_of_these"),
        "no train fact": number("entities", "without_train_fact"),
    },
}
"""Title -> column -> cell."""


def main() -> None:
    """Prints the tables, one row per set, and the issues of each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a registered set, or folder or rdf for the graph at dataset.path; default: all "
        "registered sets",
    )
    names = parser.parse_args().names or list(load_registry())
    params = load_params(PARAMS)
    for name in names:
        if name not in {FOLDER, RDF}:
            find_dataset(name)  # a wrong name is an error before any work
    summaries = {name: summary_of(name, params) for name in names}
    print("\n".join([*audit_tables(summaries), *audit_issues(summaries)]))


def summary_of(name: str, params: Params) -> Summary:
    """Fetches and prepares a set and returns its summary."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        with redirect_stdout(sys.stderr):  # only the tables go to standard output
            fill_raw(name, raw, params.dataset, params.fetch)
        return prepare_graph(raw, name, params.prepare).summary


def audit_tables(summaries: Mapping[str, Summary]) -> Iterable[str]:
    """Yields the lines of all tables."""
    for title, columns in TABLES.items():
        yield f"\n### {title}\n"
        yield f"| set | {' | '.join(columns)} |"
        yield "|---|" + "---:|" * len(columns)
        for name, summary in summaries.items():
            yield f"| {name} | {' | '.join(cell(summary) for cell in columns.values())} |"


def audit_issues(summaries: Mapping[str, Summary]) -> Iterable[str]:
    """Yields the lines of all data issues, each with its first example."""
    yield "\n### Look at these first\n"
    found = [
        # Examples hold labels of the graph, the rest is our own text.
        f"- {name}: {replace(issue, examples=tuple(map(escape, issue.examples[:1])))}"
        for name, summary in summaries.items()
        for issue in issues_of(summary["issues"])
    ]
    yield from found or ["Nothing."]


def _value(summary: Summary, *keys: str) -> Any:
    """Returns the value at a path of keys in the nested summary."""
    value: Any = summary
    for key in keys:
        value = value[key]
    return value


if __name__ == "__main__":
    run_stage(main)
