"""The results of a run: one line, its metrics, and the page in the UI with audit and facts."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact

from flows.errors import FlowError
from flows.experiments.form import read_values
from flows.running.command import Logger
from flows.running.workspace import idle_workspace, whole_files
from flows.server.parts import describe_report, entity_link, report_link, report_title
from imf_core.base.artifacts import read_json, read_parquet
from imf_core.base.config import name_graph
from imf_core.base.path_text import format_path
from imf_core.base.terminal import METRIC_TITLES, escape, shorten, table

_GIVEN_AWAY = {
    "in_train": "word for word",
    "symmetric_copies": "by a symmetric relation",
    "inverse_copies": "by an inverse relation",
    "duplicate_copies": "by a duplicate relation",
    "given_away": "**given away by train in all**",
    "pairs_linked_in_train": "pair linked in train by any relation",
    "entities_unseen_in_train": "entities without a train fact",
    "relations_unseen_in_train": "relations without a train fact",
}

_LEFT_OUT = {
    "blank_lines": "blank lines",
    "texts_of_unknown_labels": "texts of labels that no fact has",
    "repeated_text_lines": "repeated lines of texts",
    "empty_texts": "empty texts",
    "images_of_unknown_entities": "images of labels that no fact has",
    "repeated_image_lines": "repeated lines of the image index",
}

Counts = Mapping[str, Any]

_SHARE = "share_"

_NEW = "new"
"""Value of `known_in` for a fact that is neither in valid nor in test."""

METRICS = Path("results/evaluation/metrics.json")

AUDIT = Path("results/data.json")

PREDICTIONS = Path("results/predictions.parquet")

NUM_PREDICTIONS = 15

_BECAUSE = "Because"

LONGEST_PATH = 200
"""Characters of a path that the table shows, at most."""

SIDES = ("tail", "head")

_SPLITS = {
    "test": "Test: filtered ranking over all entities, both directions, per cent",
    "valid": "Valid: the model was selected on it, so these are optimistic",
}

Metrics = Mapping[str, Any]


def audit(data: Counts) -> str:
    """Formats the audit.

    Args:
        data: Content of `results/data.json`.

    Returns:
        Markdown.
    """
    return "\n\n".join([_describe(data), _leaks(data), _left_out(data), *_issues(data)])


def _describe(data: Counts) -> str:
    entities, relations, facts = data["entities"], data["relations"], data["facts"]
    have = ", ".join(
        f"{words} {entities[f'with_{key}']:,} ({entities[f'share_with_{key}']:.1%})"
        for key, words in (
            ("name", "a name"),
            ("description", "a description"),
            ("image_source", "an image source"),
        )
    )
    return (
        f"**{escape(data['dataset'])}**: {entities['total']:,} entities, {relations['total']:,} "
        f"relations, {facts['train']:,} train / {facts['valid']:,} valid / {facts['test']:,} test "
        f"facts. Valid is {data['valid_source']}, test {data['test_source']}.\n\n"
        f"Of the entities have {have}; none of these: {entities['with_none_of_these']:,}. Of the "
        f"relations, {relations['symmetric']:,} are symmetric; {relations['inverse_pairs']:,} "
        f"pairs are inverse, {relations['duplicate_pairs']:,} duplicate."
    )


def _leaks(data: Counts) -> str:
    """Formats the leaks from train into valid and test, as a table if there are any."""
    leaks, facts = data["leaks"], data["facts"]
    rows = [
        [words, *(f"{leaks[f'{split}_{key}']:,}" for split in ("valid", "test"))]
        for key, words in _GIVEN_AWAY.items()
        if leaks[f"valid_{key}"] or leaks[f"test_{key}"]
    ]
    if not rows:
        return "Nothing leaks: train gives away no fact of valid or test."
    titles = ["Facts of", f"valid ({facts['valid']:,})", f"test ({facts['test']:,})"]
    return table(titles, rows)


def _left_out(data: Counts) -> str:
    """Formats the counts of omitted lines and facts."""
    source = data["source"]
    counts = {
        "lines that repeat a fact of their split": sum(source["duplicate_lines"].values()),
        **{
            f"{split} facts dropped because of leaks": source[f"{split}_facts_dropped"]
            for split in ("train", "valid", "test")
        },
        **{words: data["ignored"][key] for key, words in _LEFT_OUT.items()},
    }
    omitted = ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)
    return f"Left out: {omitted or 'nothing'}."


def _issues(data: Counts) -> list[str]:
    """Lists the data issues of the input; empty if there are none."""
    lines = []
    for issue in data["issues"]:
        examples = "; ".join(map(escape, issue["examples"]))
        first = f" (first: {examples})" if examples else ""
        lines.append(f"- {issue['count']:,} {escape(issue['text'])}{first}")
    return ["Look at these first:\n\n" + "\n".join(lines)] if lines else []


def predictions_table(path: Path, n: int) -> str:
    """Formats the most probable fact of each relation, most probable first.

    Args:
        path: `results/predictions.parquet`.
        n: Largest number of rows.

    Returns:
        Markdown. A fact is true if it is in valid or test, which the channels were not trained on.
        The best path of each fact is its last cell, if any fact has one.

    Raises:
        DataError: If the file is missing or damaged.
    """
    best: dict[str, dict[str, Any]] = {}
    for fact in read_parquet(path).to_pylist():
        best.setdefault(fact["relation"], fact)
    facts = list(best.values())[:n]
    if not facts:
        return "No fact is predicted."
    titles, rows = ["Fact", "Probability", "Verdict", "Most by channel"], list(map(_row, facts))
    reasons = [fact.get("reasons") for fact in facts]  # older runs have no such column
    if any(reasons):
        titles.append(_BECAUSE)
        for row, paths in zip(rows, reasons, strict=True):
            row.append(escape(shorten(format_path(paths[0]), LONGEST_PATH)) if paths else "")
    return table(titles, rows, texts=[_BECAUSE])


def _row(fact: dict[str, Any]) -> list[str]:
    names = {part: escape(fact[f"{part}_name"]) for part in ("head", "relation", "tail")}
    for side in SIDES:
        if link := entity_link(fact[side]):
            names[side] = f"[{names[side]}]({link})"
    share, channel = max(
        (value, key.removeprefix(_SHARE)) for key, value in fact.items() if key.startswith(_SHARE)
    )
    verdict = _NEW if fact["known_in"] == _NEW else f"true ({fact['known_in']})"
    return [
        " – ".join(names.values()),
        f"{fact['probability']:.2f}",
        verdict,
        f"{channel} {share:.0%}",
    ]


def read_metrics(logger: Logger) -> dict[str, Any] | None:
    """Reads the metrics of the last evaluation, None without one.

    Args:
        logger: Receives a line if the call waits for a `dvc repro`.

    Raises:
        DataError: If the file is damaged.
    """
    with idle_workspace(logger.info):
        return read_json(METRICS) if METRICS.exists() else None


def show_results(before: Mapping[str, Any] | None, logger: Logger) -> str:
    """Shows the results of the working folder.

    Args:
        before: Metrics before the run.
        logger: Receives the link to the report.

    Returns:
        A summary of the result.

    Raises:
        DataError: If a file is missing or damaged.
    """
    graph = graph_name(read_values())
    with whole_files([METRICS, AUDIT, PREDICTIONS], logger.info) as folder:
        metrics, data = read_json(folder / METRICS), read_json(folder / AUDIT)
        predictions = predictions_table(folder / PREDICTIONS, NUM_PREDICTIONS)
    link = report_link()
    create_markdown_artifact(
        describe_report(link),
        key="report",
        description=report_title(link, "The report of the workspace's last run"),
    )
    create_markdown_artifact(
        f"{metrics_table(before, metrics)}\n\nFrom `{METRICS.absolute()}`; by relation, "
        "degree and media in the files beside it.",
        key="metrics",
        description="How well the model ranks held-out facts, and the change since the run before",
    )
    create_markdown_artifact(
        f"{predictions}\n\nMore in `{PREDICTIONS.absolute()}`.",
        key="predictions",
        description="The most probable fact of each relation that train does not hold",
    )
    create_markdown_artifact(
        audit(data),
        key="audit",
        description="What the graph has, what leaks, what was left out",
    )
    result = headline(graph, before, metrics)
    logger.info("%s; the report of the workspace's last run: %s", result, link)
    return result


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
            [title, *(_cell(metrics, earlier.get(title), key) for key in METRIC_TITLES)]
            for title, metrics in _rows(after[split])
        ]
        parts.append(f"{title}\n\n{table(['', *METRIC_TITLES.values()], rows)}")
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


def name_run(flow: str) -> str:
    """Returns the name of a run, with flow, graph and time: `pipeline atlas 29 Nov 14:02`."""
    moment = datetime.now().astimezone().strftime("%d %b %H:%M")
    try:
        return f"{flow} {graph_name(read_values())} {moment}"
    except FlowError:  # the run itself reports the error in params.yaml
        return f"{flow} {moment}"


def graph_name(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the name of a data set, or of the folder or file with the graph, as in the report."""
    dataset = values["dataset"]
    return name_graph(dataset["name"], os.path.abspath(dataset["path"]))  # noqa: PTH100 - links stay


def headline(name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """Formats the result of a run: `atlas: test MRR 59.5 (+0.2)`.

    Args:
        name: Name of the graph or the experiment.
        before: Metrics by split before the run, None without an earlier run. They are ignored if
            they are of other test facts.
        after: Metrics by split after the run.
    """
    mrr = after["test"]["mrr"]
    line = f"{name}: test MRR {100 * mrr:.1f}"
    if before is None or not are_comparable(before, after):
        return line
    return f"{line} ({100 * (mrr - before['test']['mrr']):+.1f})"
