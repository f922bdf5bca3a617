"""The section of one data set in `docs/results.md`."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from measuring.markdown import make_table
from recipes.published import PublishedRow
from recipes.rows import FULL, STRUCTURE, TWO_STRUCTURES
from recipes.store import Measurement
from recipes.summary import Summary, read_metric

METRICS = {"mrr": "MRR", "hits_at_1": "Hits@1", "hits_at_3": "Hits@3", "hits_at_10": "Hits@10"}
Rows = Mapping[str, Summary]


def render_detail(
    dataset: str, rows: Rows, gains: Mapping[str, Any], published: Sequence[PublishedRow]
) -> str:
    """Returns all tables of a data set.

    Args:
        dataset: The recipe's name.
        rows: From `summarise`; at least one.
        gains: From `Store.load_gain`.
        published: Figures of others.
    """
    shown = [each for each in rows.values() if each.row.part != "ablation"]
    first = shown[0].first if shown else next(iter(rows.values())).first
    blocks = [
        f"## {dataset}",
        _places(rows),
        _results(shown, published),
        _word_gains(gains),
        "MRR by the number of train facts of the query's entity (in brackets, queries):",
        _breakdown(shown, "by_degree", [_name_degree(row) for row in first.by_degree]),
    ]
    if any(media := _name_media(first.by_media)):
        blocks += ["MRR where the query's entity, or the answer, has a modality and where not:"]
        blocks += [_breakdown(shown, "by_media", media)]
    if ablations := _ablations(rows):
        blocks += ["Parts of the full model taken away or replaced:", ablations]
    blocks.append(f"![MRR on valid by epoch](images/{picture_name(dataset)})")
    return "\n\n".join(block for block in blocks if block)


def picture_name(dataset: str) -> str:
    """Returns the name of the picture of a data set's learning curves."""
    return f"curves-{dataset}.png"


def word_gain(gain: Mapping[str, float]) -> str:
    """Words a gain in MRR and its interval, in points of per cent."""
    return f"{100 * gain['gain']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


def _places(rows: Rows) -> str:
    """Says once on what everything was measured, and at which commits."""
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
    """Returns the main table: our rows, and below them those of others."""
    titles = [
        "row",
        *METRICS.values(),
        "MRR, tail asked",
        "MRR, head asked",
        "training",
        "seeds",
        "command",
    ]
    lines = [
        [
            summary.row.title,
            *(summary.per_cent(read_metric(key)) for key in METRICS),
            *(summary.per_cent(read_metric(side, "mrr")) for side in ("tail", "head")),
            _word_seconds(summary),
            str(len(summary.measurements)),
            f"`{_command(summary.first)}`",
        ]
        for summary in shown
    ]
    for row in published:
        values = [getattr(row, key) for key in METRICS]
        figures = ["" if value is None else f"{value:.1f}" for value in values]
        lines.append([f"*{row.title}*", *figures, "", "", "", "", f"published: {row.source}"])
    return "\n".join(make_table(titles, lines))


def _word_seconds(summary: Summary) -> str:
    """Words the processor time of one training; on a GPU, where that says little, the clock's."""
    if summary.first.environment["device"] == "cpu":
        return f"{summary.mean(lambda each: each.process_seconds):,.0f} s"
    return f"{summary.mean(lambda each: each.wall_seconds):,.0f} s by the clock"


def _command(measurement: Measurement) -> str:
    """Returns the command that measured a row, with all seeds that are the default."""
    return re.sub(r" --seeds \d+", "", measurement.command)


def _word_gains(gains: Mapping[str, Any]) -> str:
    """Says what the full model gains over others, pooled over the seeds and by seed."""
    titles = {STRUCTURE: "structure alone", TWO_STRUCTURES: "two structural models"}
    lines = [
        f"- over {title}: {word_gain(gains[other]['pooled'])}; by seed "
        + ", ".join(map(word_gain, gains[other]["by_seed"]))
        for other, title in titles.items()
        if other in gains
    ]
    head = "What the full model gains in MRR, with the 95 % bootstrap interval over test facts:"
    return "\n".join([head, "", *lines]) if lines else ""


def _name_degree(row: Mapping[str, Any]) -> str:
    return f"{row['train_facts_of_query_entity']} ({row['queries']:,})"


def _name_media(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names the rows of `by_media`; "" where all queries have the modality, or none has it."""
    groups = Counter((row["modality"], row["entity"]) for row in rows)
    has = {"yes": "with", "no": "without"}
    return [
        f"{row['entity']} {has[row['has_it']]} {row['modality']} ({row['queries']:,})"
        if groups[row["modality"], row["entity"]] > 1
        else ""
        for row in rows
    ]


def _breakdown(shown: Sequence[Summary], table: str, titles: Sequence[str]) -> str:
    """Returns MRR by row of the main table and row of a breakdown.

    Args:
        shown: Rows of the main table.
        table: The breakdown, a field of `Measurement`.
        titles: Of its rows, which are columns here; those without one are left out.
    """
    columns = [position for position, title in enumerate(titles) if title]
    lines = [
        [
            summary.row.title,
            *(summary.per_cent(partial(_read_cell, table, position)) for position in columns),
        ]
        for summary in shown
    ]
    return "\n".join(make_table(["row", *(titles[position] for position in columns)], lines))


def _read_cell(table: str, position: int, measurement: Measurement) -> float:
    return float(getattr(measurement, table)[position]["mrr"])


def _ablations(rows: Rows) -> str:
    """Returns the full model beside itself with a part less; nothing without either."""
    ablated = [each for each in rows.values() if each.row.part == "ablation"]
    if FULL not in rows or not ablated:
        return ""
    lines = []
    for summary in [rows[FULL], *_without_fused_head(rows), *ablated]:
        figures = (summary.per_cent(read_metric(key)) for key in METRICS)
        lines.append([summary.row.title, *figures, _word_seconds(summary)])
    return "\n".join(make_table(["", *METRICS.values(), "training"], lines))


def _without_fused_head(rows: Rows) -> Iterable[Summary]:
    """Finds the row that has all modalities of the full model side by side, if it is there."""
    for summary in rows.values():
        is_unfused = summary.row.overrides.get("fusion.rank") == 0
        if is_unfused and set(summary.first.modalities) == set(rows[FULL].first.modalities):
            yield replace(summary, row=replace(summary.row, title="no fused head"))
