"""Renders the results as Markdown: `python -m recipes.table` writes them into the docs.

`README.md` has the short table, `docs/results.md` the others, each between a pair of markers.
`python -m recipes.curves` draws the pictures of `docs/results.md`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from statistics import mean
from typing import Any

from imf_core.base.terminal import METRIC_TITLES
from recipes.environment import make_table, write_between_markers
from recipes.recipe import FOLDER, list_recipes
from recipes.rows import FULL, STRUCTURE, TWO_STRUCTURES
from recipes.store import RESULTS, Measurement, Store, load_current_gains
from recipes.summary import (
    PublishedRow,
    Summary,
    read_metric,
    read_published,
    render_breakdowns,
    summarise,
)
from stages.runner import run_stage, state_folder

ROOT = FOLDER.parent
MARKER = "results"
SHORT_ROWS = (STRUCTURE, FULL)
NOTHING = "Not measured yet."

Rows = Mapping[str, Summary]


def render_short(store: Store) -> str:
    """Returns one line for each data set: MRR on test of structure alone and of the full model."""
    published = read_published()
    titles = ["set", *SHORT_ROWS, "gain over structure", "seeds", "best published", "how selected"]
    titles += ["best selected on valid", "commit"]
    lines = []
    for dataset in list_recipes():
        if rows := summarise(store.load_all(dataset)):
            cells = [
                rows[name].per_cent(read_metric("mrr")) if name in rows else ""
                for name in SHORT_ROWS
            ]
            gains = load_current_gains(store, dataset)
            gain = format_gain(gains[STRUCTURE], STRUCTURE, rows) if STRUCTURE in gains else ""
            best = _list_best(published.get(dataset, []))
            commits = {each for name in SHORT_ROWS if name in rows for each in rows[name].commits}
            seeds = _format_seeds(rows)
            lines.append([dataset, *cells, gain, seeds, *best, ", ".join(sorted(commits))])
    return "\n".join(make_table(titles, lines)) if lines else NOTHING


def render_full(store: Store) -> str:
    """Returns a section of tables for each measured data set."""
    published = read_published()
    sections = [
        render_detail(dataset, rows, load_current_gains(store, dataset), published.get(dataset, []))
        for dataset in list_recipes()
        if (rows := summarise(store.load_all(dataset)))
    ]
    return "\n\n".join(sections) or NOTHING


PLACES: dict[Path, Callable[[Store], str]] = {
    ROOT / "README.md": render_short,
    ROOT / "docs" / "results.md": render_full,
}
"""Renderer of each file."""


def _format_seeds(rows: Mapping[str, Summary]) -> str:
    """Formats the numbers of seeds in the short table, by row if they differ."""
    counts = {name: len(rows[name].seeds) for name in SHORT_ROWS if name in rows}
    if len(set(counts.values())) < 2:
        return "".join(map(str, set(counts.values())))
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _list_best(published: Sequence[PublishedRow]) -> list[str]:
    """Returns the highest published MRR, its selection, and the highest one selected on valid."""
    comparable = [row for row in published if row.directions == "both"]
    on_valid = [row for row in comparable if row.selected == "valid"]
    best, best_on_valid = (
        max(rows, key=attrgetter("mrr"), default=None) for rows in (comparable, on_valid)
    )
    return [
        f"{best.mrr:.1f} {best.title}" if best else "",
        best.selection if best else "",
        f"{best_on_valid.mrr:.1f} {best_on_valid.title}" if best_on_valid else "",
    ]


def main() -> None:
    """Writes the tables into every text with the markers."""
    store = Store(RESULTS, state_folder() / "ranks")
    for path, render in PLACES.items():
        write_between_markers(path, MARKER, render(store))
        print(f"{path.relative_to(ROOT)} has the tables of {RESULTS.relative_to(ROOT)}")


def render_detail(
    dataset: str, rows: Rows, gains: Mapping[str, Any], published: Sequence[PublishedRow]
) -> str:
    """Returns all tables of a data set.

    Args:
        dataset: The recipe's name.
        rows: From `summarise`; at least one.
        gains: From `load_current_gains`.
        published: Published figures.
    """
    shown = [each for each in rows.values() if each.row.part != "ablation"]
    blocks = [
        f"## {dataset}",
        _places(rows),
        _results(shown, published),
        _format_gains(gains, rows),
        *render_breakdowns(shown),
    ]
    if ablations := _ablations(rows):
        blocks += ["Parts of the full model taken away or replaced:", ablations]
    blocks.append(f"![MRR on valid by epoch](images/{picture_name(dataset)})")
    return "\n\n".join(block for block in blocks if block)


def picture_name(dataset: str) -> str:
    """Returns the name of the picture of a data set's learning curves."""
    return f"curves-{dataset}.png"


def format_gain(gain: Mapping[str, Any], other: str, rows: Rows) -> str:
    """Formats the gain of the full model over another row, pooled over the seeds.

    Args:
        gain: From `compute_gain`.
        other: The name of the other row.
        rows: From `summarise`; the seeds are named if either row has others than the gain.
    """
    seeds = gain["seeds"]
    words = _format_interval(gain["pooled"])
    if all(rows[name].seeds == seeds for name in (FULL, other)):
        return words
    return f"{words} (seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})"


def _format_interval(gain: Mapping[str, float]) -> str:
    """Formats a difference in MRR and its interval, in percentage points."""
    return f"{100 * gain['gain']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


def _places(rows: Rows) -> str:
    """Lists the environments of the measurements, with their commits."""
    commits: dict[str, set[str]] = {}
    for each in (each for summary in rows.values() for each in summary.measurements):
        place = each.environment
        where = place["cpu"] if place["device"] == "cpu" else place["device"]
        threads = f"{each.threads} thread{'s' if each.threads > 1 else ''}"
        words = f"{where}, {threads}, torch {place['torch']}"
        commits.setdefault(words, set()).add(place["commit"])
    lines = [f"{place}; commit {', '.join(sorted(found))}" for place, found in commits.items()]
    return "\n".join(f"Measured on {line}." for line in lines)


def _results(shown: Sequence[Summary], published: Sequence[PublishedRow]) -> str:
    """Returns the main table: our rows, then published ones."""
    titles = [
        "row",
        *METRIC_TITLES.values(),
        "MRR, tail asked",
        "MRR, head asked",
        "how selected",
        "training",
        "seeds",
        "commit",
        "command",
    ]
    lines = [
        [
            summary.row.title,
            *(summary.per_cent(read_metric(key)) for key in METRIC_TITLES),
            *(summary.per_cent(read_metric(side, "mrr")) for side in ("tail", "head")),
            "valid",
            _format_seconds(summary),
            str(len(summary.measurements)),
            ", ".join(summary.commits),
            f"`{_command(summary.first)}`",
        ]
        for summary in shown
    ]
    for row in published:
        values = [getattr(row, key) for key in METRIC_TITLES]
        figures = ["" if value is None else f"{value:.1f}" for value in values] + [""] * 2
        if row.directions == "tails":  # the place of the MRR where the tail is asked
            figures = [*[""] * len(METRIC_TITLES), f"{row.mrr:.1f}", ""]
        source = f"published: {row.source}"
        lines.append([f"*{row.title}*", *figures, row.selection, "", "", "", source])
    return "\n".join(make_table(titles, lines))


def _format_seconds(summary: Summary) -> str:
    """Formats the processor time of one training; on a GPU, the wall-clock time."""
    if summary.first.environment["device"] == "cpu":
        return f"{summary.mean(lambda each: each.process_seconds):,.0f} s"
    return f"{summary.mean(lambda each: each.wall_seconds):,.0f} s by the clock"


def _command(measurement: Measurement) -> str:
    """Returns the command that measures a row, with the default seeds."""
    return re.sub(r" --seeds \d+", "", measurement.command)


def _format_gains(gains: Mapping[str, Any], rows: Rows) -> str:
    """Lists the gains of the full model, pooled over the seeds and by seed."""
    titles = {STRUCTURE: "structure alone", TWO_STRUCTURES: "two structural models"}
    lines = [
        f"- over {name}: {format_gain(gains[other], other, rows)}; by seed "
        + ", ".join(map(_format_interval, gains[other]["by_seed"]))
        for other, name in titles.items()
        if other in gains
    ]
    title = "Gain of the full model in MRR, with the 95 % bootstrap interval over test facts:"
    return "\n".join([title, "", *lines]) if lines else ""


def _ablations(rows: Rows) -> str:
    """Returns the table of ablations of the full model; nothing without them."""
    ablated = [each for each in rows.values() if each.row.part == "ablation"]
    if FULL not in rows or not ablated:
        return ""
    lines = []
    for summary in [rows[FULL], *_without_fused_channel(rows), *ablated]:
        lines.append(
            [
                summary.row.title,
                *(summary.per_cent(read_metric(key)) for key in METRIC_TITLES),
                "" if summary is rows[FULL] else _format_difference(summary, rows[FULL]),
                _format_seconds(summary),
                str(len(summary.measurements)),
                ", ".join(summary.commits),
                f"`{_command(summary.first)}`",
            ]
        )
    other = ["MRR minus full, same seeds", "training", "seeds", "commit", "command"]
    titles = ["", *METRIC_TITLES.values(), *other]
    return "\n".join(make_table(titles, lines))


def _format_difference(summary: Summary, full: Summary) -> str:
    """Formats the difference in MRR to the full model, in points, over common seeds."""
    mrr_of_full = {each.seed: each.test["mrr"] for each in full.measurements}
    differences = [
        each.test["mrr"] - mrr_of_full[each.seed]
        for each in summary.measurements
        if each.seed in mrr_of_full
    ]
    return f"{100 * mean(differences):+.1f}" if differences else ""


def _without_fused_channel(rows: Rows) -> Iterable[Summary]:
    """Finds the row with all modalities of the full model but no fused channel, if measured."""
    for summary in rows.values():
        row = summary.row
        is_unfused = row.overrides.get("fusion.rank") == 0 and row.num_models == 1
        if is_unfused and set(summary.first.modalities) == set(rows[FULL].first.modalities):
            yield replace(summary, row=replace(summary.row, title="no fused channel"))


if __name__ == "__main__":
    run_stage(main)
