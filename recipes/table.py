"""Renders the results as Markdown: `python -m recipes.table` writes them into the docs.

`README.md` has the short table, `docs/results.md` the others, each between a pair of markers.
`python -m recipes.curves` draws the pictures of `docs/results.md`.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path

from measuring.markdown import make_table, write_between_markers
from recipes.detail import format_gain, render_detail
from recipes.gain import load_current_gains
from recipes.published import PublishedRow, read_published
from recipes.recipe import FOLDER, list_recipes
from recipes.rows import FULL, STRUCTURE
from recipes.store import RESULTS, Store
from recipes.summary import Summary, read_metric, summarise
from stages.runner import run_stage, state_folder

ROOT = FOLDER.parent
MARKER = "results"
SHORT_ROWS = (STRUCTURE, FULL)
NOTHING = "Not measured yet."


def render_short(store: Store) -> str:
    """Returns one line for each data set: MRR on test of structure alone and of the full model."""
    published = read_published()
    titles = ["set", *SHORT_ROWS, "gain over structure", "seeds", "best published", "commit"]
    lines = []
    for dataset in list_recipes():
        if rows := summarise(store.load_all(dataset)):
            cells = [
                rows[name].per_cent(read_metric("mrr")) if name in rows else ""
                for name in SHORT_ROWS
            ]
            gains = load_current_gains(store, dataset)
            gain = format_gain(gains[STRUCTURE], STRUCTURE, rows) if STRUCTURE in gains else ""
            best = _format_best(published.get(dataset, []))
            commits = {each for name in SHORT_ROWS if name in rows for each in rows[name].commits}
            seeds = _format_seeds(rows)
            lines.append([dataset, *cells, gain, seeds, best, ", ".join(sorted(commits))])
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


def _format_best(published: Sequence[PublishedRow]) -> str:
    """Formats the highest published MRR, and the highest one selected on valid."""
    on_valid = [row for row in published if row.selected == "valid"]
    best = [max(rows, key=attrgetter("mrr")) for rows in (published, on_valid) if rows]
    return "; ".join(dict.fromkeys(f"{row.mrr:.1f} {row.title}" for row in best))


def main() -> None:
    """Writes the tables into every text with the markers."""
    store = Store(RESULTS, state_folder() / "ranks")
    for path, render in PLACES.items():
        write_between_markers(path, MARKER, render(store))
        print(f"{path.relative_to(ROOT)} has the tables of {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    run_stage(main)
