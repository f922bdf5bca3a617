"""Stores the accuracy of methods on data sets, and renders its table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from imf_core.artifacts import read_json, write_json
from imf_core.data.graph import SPLITS, Graph
from measuring.markdown import make_table

Stored = dict[str, dict[str, Any]]
"""Sizes and rows by method of each data set, by its name."""


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        seed: Seed of the training.
        epoch: The selected epoch.
        valid_mrr: MRR on valid at that epoch.
        test: `mrr`, `hits_at_1` and `hits_at_10` on test.
        seconds: CPU seconds of the training, including validation.
    """

    seed: int
    epoch: int
    valid_mrr: float
    test: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Row:
    """A method on a data set.

    Attributes:
        method: Its name in the table.
        values: The values chosen for the data set, as text.
        choice_seconds: CPU seconds of all trials.
        models: One per seed.
    """

    method: str
    values: str
    choice_seconds: float
    models: Sequence[Model]


def store(path: Path, name: str, graph: Graph, rows: Iterable[Row], commit: str) -> None:
    """Stores rows, replacing those of the same data set and method."""
    stored = load(path)
    sizes = [graph.num_entities, graph.num_relations]
    sizes += [len(graph.triples[split]) for split in SPLITS]
    old = stored[name]["rows"] if name in stored else {}
    new = {row.method: {**asdict(row), "commit": commit} for row in rows}
    write_json(path, {**stored, name: {"sizes": sizes, "rows": old | new}})


def load(path: Path) -> Stored:
    """Reads the stored rows, empty if there is no file."""
    stored: Stored = read_json(path) if path.exists() else {}
    return stored


def render(stored: Stored) -> str:
    """Renders a table for each data set: means over the seeds, in per cent."""
    titles = ["", "MRR", "Hits@1", "Hits@10", "MRR on valid", "seeds", "CPU s, choice"]
    titles += ["CPU s, training", "chosen values; selected epoch", "commit"]
    sections = []
    for name, content in stored.items():
        entities, relations, *facts = content["sizes"]
        head = f"**{name}**: {entities:,} entities, {relations:,} relations, "
        head += " / ".join(f"{count:,}" for count in facts) + " facts of train / valid / test."
        rows = [_cells(row) for row in content["rows"].values()]
        sections.append("\n".join([head, "", *make_table(titles, rows)]))
    return "\n\n".join(sections)


def _cells(row: Mapping[str, Any]) -> list[str]:
    models = row["models"]
    return [
        row["method"],
        *(
            _percent(model["test"][key] for model in models)
            for key in ("mrr", "hits_at_1", "hits_at_10")
        ),
        _percent(model["valid_mrr"] for model in models),
        ", ".join(str(model["seed"]) for model in models),
        f"{row['choice_seconds']:.0f}",
        f"{mean(model['seconds'] for model in models):.0f}",
        f"{row['values']}; {', '.join(str(model['epoch']) for model in models)}",
        row["commit"],
    ]


def _percent(values: Iterable[float]) -> str:
    numbers = [100 * value for value in values]
    deviation = f" ± {stdev(numbers):.1f}" if len(numbers) > 1 else ""
    return f"{mean(numbers):.1f}{deviation}"
