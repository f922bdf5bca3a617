"""Draws the learning curves of each data set into `docs/images`: `python -m recipes.curves`.

It needs matplotlib, from the dependency group `results`.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recipes.recipe import list_recipes
from recipes.rows import FULL
from recipes.store import RESULTS, Store
from recipes.summary import Summary, summarise
from recipes.table import ROOT, picture_name
from stages.runner import run_stage, state_folder

FOLDER = ROOT / "docs" / "images"
INCHES = (10, 4)
COMBINED = "valid_mrr"


def draw_curves(dataset: str, rows: Mapping[str, Summary], path: Path) -> None:
    """Draws MRR on valid by epoch, of the rows and of the full model's channels.

    Args:
        dataset: The recipe's name.
        rows: From `summarise`; the lowest seed of each is drawn.
        path: Path of the PNG file.
    """
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=INCHES, layout="constrained")
        of_rows, of_channels = figure.subplots(1, 2, sharey=True)
        for summary in rows.values():
            if summary.row.part == "main":
                _draw(of_rows, summary, COMBINED, summary.row.title)
        if FULL in rows:
            for key in rows[FULL].first.models[0].curve[0]:
                if key.startswith(COMBINED):
                    title = key.removeprefix(COMBINED).strip("_") or "all together"
                    _draw(of_channels, rows[FULL], key, title)
        for axes, title in ((of_rows, dataset), (of_channels, "channels of the full model")):
            axes.set(title=title, xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            if axes.lines:
                axes.legend(frameon=False)
        of_rows.set_ylabel("MRR on valid, %")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw(axes: Axes, summary: Summary, key: str, title: str) -> None:
    """Draws one curve of a row, with a dot at the selected epoch."""
    model = summary.first.models[0]
    epochs = [record["epoch"] for record in model.curve]
    values = [100 * record[key] for record in model.curve]
    (line,) = axes.plot(epochs, values, label=title, linewidth=1.2)
    selected = epochs.index(model.selected_epoch)
    axes.plot(epochs[selected], values[selected], "o", color=line.get_color(), markersize=4)


def main() -> None:
    """Draws the curves of every measured data set."""
    store = Store(RESULTS, state_folder() / "ranks")
    for dataset in list_recipes():
        if rows := summarise(store.load_all(dataset)):
            draw_curves(dataset, rows, FOLDER / picture_name(dataset))


if __name__ == "__main__":
    run_stage(main)
