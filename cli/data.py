"""`imf check`, `imf audit`, `imf forget`: a user's graph, data sets as Markdown, web content."""

import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from imf_core.base.artifacts import read_parquet
from imf_core.base.config import FOLDER, OWN_GRAPHS, RDF, Params
from imf_core.base.errors import DataError
from imf_core.base.params_file import load_params
from imf_core.base.terminal import escape
from imf_core.graph.issues import issues_of
from imf_core.graph.labels import SPLITS
from imf_core.prepare.decisions import read_decisions
from imf_core.prepare.facts import CLASSES
from imf_core.prepare.prepare import audit_unsplit, prepare_graph
from imf_core.prepare.split import SplitError
from imf_core.prepare.summary import Summary
from imf_core.raster.reencode import NO_PICTURE
from imf_core.raster.shards import SOURCES
from imf_core.sources.rdf_reader import FORMATS
from imf_core.sources.registry import find_dataset, load_registry
from imf_core.web.store import WebStore
from imf_core.web.url_pattern import is_url
from stages.download import fill_raw
from stages.paths import IMAGES, PARAMS
from stages.prepare import print_summary
from stages.runner import state_folder

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


PREPARED = "Facts as prepared"
GIVEN_AWAY = f"{PREPARED} that train gives away (valid / test)"
OF_SPLITS = (PREPARED, GIVEN_AWAY)
"""Titles of the tables about the splits that are made."""

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
    PREPARED: {
        "facts (train / valid / test)": per_split("facts"),
        "valid": lambda summary: str(summary["valid_source"]),
        "test": lambda summary: str(summary["test_source"]),
        "dropped (train / valid / test)": numbers(
            "source", "train_facts_dropped", "valid_facts_dropped", "test_facts_dropped"
        ),
        "valid facts in train": number("leaks", "valid_in_train"),
        "test facts in train": number("leaks", "test_in_train"),
    },
    GIVEN_AWAY: {
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


def check(path: Path) -> None:
    """Reads a user's graph as the stages `download` and `prepare` do; prints counts and issues.

    They are printed also for a graph that cannot be split, before the error.

    Args:
        path: A folder, or an RDF file.

    Raises:
        DataError: If the path does not exist or has another suffix, or a stage would refuse the
            graph.
    """
    if not path.exists():
        raise DataError(
            f"there is no folder or file {path}; give a folder with train.txt, an RDF file or a "
            "file of facts that ends in .tsv, .txt or .parquet"
        )
    is_dump = not FORMATS.keys().isdisjoint(map(str.lower, path.suffixes))
    if path.is_file() and not is_dump:
        raise DataError(
            f"{path} must be a folder with train.txt, an RDF file ({', '.join(FORMATS)}, plain or "
            "compressed) or a file of facts (.tsv, .txt, .parquet); save a table of another format "
            "as tab-separated text that ends in .tsv: head, relation, tail"
        )
    params = load_params(PARAMS)
    name = FOLDER if path.is_dir() else RDF
    own = params.dataset.model_copy(update={"name": name, "path": str(path)})
    failure = None
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        fill_raw(name, raw, own, params.fetch)
        try:
            summary = prepare_graph(raw, name, params.prepare).summary
        except SplitError as error:
            summary, failure = audit_unsplit(raw, name), error
        print_summary(summary, raw)
    for title, columns in TABLES.items():
        if failure is None or title not in OF_SPLITS:
            print(f"\n{title}:")
            for column, cell in columns.items():
                print(f"  {column}: {cell(summary)}")
    if failure is not None:
        raise failure
    print(
        f"\nNothing was changed. To complete this graph, set dataset.name: {name} and "
        f"dataset.path: {path} in {PARAMS}, then `imf run`"
    )


def audit(names: list[str]) -> None:
    """Prints the tables of data sets, one row per set, and the issues of each set.

    Args:
        names: Registered sets, or `folder` or `rdf`; all registered sets where empty.

    Raises:
        ConfigError: If a name is unknown.
    """
    names = names or list(load_registry())
    params = load_params(PARAMS)
    for name in names:
        if name not in OWN_GRAPHS:
            find_dataset(name)  # a wrong name is an error before any work
    summaries = {name: summary_of(name, params) for name in names}
    print("\n".join([*audit_tables(summaries), *audit_issues(summaries)]))


def summary_of(name: str, params: Params) -> Summary:
    """Fetches and prepares a set and returns its summary; decisions are of the set in use."""
    own = params.dataset
    decisions = read_decisions(Path(own.decisions)) if name == own.name else []
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        with redirect_stdout(sys.stderr):  # only the tables go to standard output
            fill_raw(name, raw, own, params.fetch)
        return prepare_graph(raw, name, params.prepare, decisions).summary


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


def forget(failed: bool, older_than_days: int | None) -> None:
    """Sets web content aside, so that the next run requests it again, and prints its amount.

    Args:
        failed: Whether to take content that was not found, refused, too long or no picture.
        older_than_days: Age in days from which content is taken, whatever its status.
    """
    folder = state_folder() / "web"
    if not folder.is_dir():
        print(f"there were no web requests: {folder} does not exist")
        return
    with WebStore(folder) as store:
        if failed:
            count = store.set_aside_failed() + store.set_aside(_no_pictures(IMAGES / SOURCES))
            print(f"{count} failed files and answers will be requested again")
        if older_than_days is not None:
            moment = datetime.now(UTC) - timedelta(days=older_than_days)
            count = store.set_aside_older_than(moment)
            print(
                f"{count} files and answers last requested {older_than_days} or more days "
                "ago will be requested again"
            )


def _no_pictures(path: Path) -> list[str]:
    """Lists the URLs with content that was no picture in the last run of `images`."""
    if not path.exists():
        return []
    table = read_parquet(path, ["source", "status"])
    rows = zip(table["source"].to_pylist(), table["status"].to_pylist(), strict=True)
    return sorted({source for source, status in rows if status in NO_PICTURE and is_url(source)})
