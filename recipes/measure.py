"""Measures the rows of a data set's table: `python -m recipes.measure NAME`.

Reads the prepared graph and features of the workspace, which must be made as the recipe says; all
other values are those of the committed params.yaml with the recipe, the row and the seed on top. A
row and seed that is stored already, measured with the same values on the same facts and features,
is left as it is. A killed run goes on where it was.
"""

import argparse
import json
import math
import shlex
from pathlib import Path
from typing import Any

import yaml

from imf_core.config import Params, SettledParams, load_params, read_yaml
from imf_core.errors import ConfigError
from imf_core.tuning.settle import settle
from recipes.gain import update_gains
from recipes.measurement import find_basis, measure_row
from recipes.recipe import Overrides, lay_over, list_recipes, read_recipe
from recipes.rows import ROWS, Row, find_row, is_row_of, overrides_of
from recipes.store import RESULTS, Store
from recipes.workspace import check_prepared, read_committed
from stages.chosen import read_chosen
from stages.inputs import load_inputs
from stages.layout import GRAPH, IMAGE_FEATURES, PARAMS, TEXT_FEATURES
from stages.runner import run_stage, state_folder

INPUTS = (GRAPH / "triples.parquet", IMAGE_FEATURES, TEXT_FEATURES)


def main() -> None:
    """Measures what is asked for, seed by seed."""
    given = _parse()
    settings = dict(map(read_setting, given.set))
    recipe = {**read_recipe(given.name), **settings}
    values = read_committed().model_dump()
    source = f"recipes/{given.name}.yaml with --set"
    expected = lay_over(values, recipe, source)
    check_prepared(given.name, load_params(PARAMS), expected)
    wanted = list(map(find_row, given.rows))
    for row in wanted:
        _refuse_another_row(row, settings)
    rows = [row for row in wanted if is_row_of(row, expected)]
    if left_out := set(given.rows) - {row.name for row in rows}:
        print(f"not rows of {given.name}: {', '.join(sorted(left_out))}")
    # Checked before hours of training.
    planned = [
        (row, seed, _settle(lay_over(values, overrides_of(recipe, row, seed), source)))
        for seed in given.seeds
        for row in rows
    ]
    store = Store(RESULTS, state_folder() / "ranks")
    graph, tables = load_inputs()
    for row, seed, params in planned:
        title = f"{given.name}, {row.name}, seed {seed}"
        found = store.load(given.name, row.name, seed)
        basis = find_basis(params, graph, tables)
        if found is not None and found.basis == basis and not given.again:
            print(f"{title}: measured already, MRR {found.test['mrr']:.4f} on test", flush=True)
            continue
        measurement, test = measure_row(
            given.name,
            row,
            params,
            _without_paths(overrides_of(recipe, row)),
            _command(given.name, row, seed, _without_paths(settings)),
            graph,
            tables,
            INPUTS,
            state_folder() / "checkpoints",
        )
        store.save(measurement, test)
        update_gains(store, given.name)
        print(f"{title}: MRR {measurement.test['mrr']:.4f} on test", flush=True)


def _parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        "python -m recipes.measure",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [row.name for row in ROWS]
    parser.add_argument("name", metavar="NAME", help=", ".join(list_recipes()))
    parser.add_argument("--rows", nargs="+", metavar="ROW", default=names, help=", ".join(names))
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[0, 1, 2])
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="on top of the recipe in every row, recorded; for data, it says what is prepared",
    )
    parser.add_argument("--again", action="store_true", help="measure what is stored anew")
    return parser.parse_args()


def read_setting(word: str) -> tuple[str, Any]:
    """Reads `section.key=value`, the value as in params.yaml.

    Raises:
        ConfigError: If it is something else.
    """
    key, equals, value = word.partition("=")
    if not equals or key.count(".") != 1:
        raise ConfigError(f"--set must be section.key=value, got {word!r}")
    try:
        return key, read_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {word}: the value is not valid YAML: {error}") from error


def write_setting(key: str, value: Any) -> str:
    """Writes what `read_setting` reads, on one line."""
    flow = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    word = flow.removesuffix("...\n").strip()
    # PyYAML leaves words bare that are numbers to us, such as 1e5.
    return f"{key}={word if read_yaml(word) == value else json.dumps(value)}"


def _settle(params: Params) -> SettledParams:
    """Puts the values that the workspace has chosen in the place of every `auto`."""
    return settle(params, read_chosen(params.model, params.train))


def _refuse_another_row(row: Row, settings: Overrides) -> None:
    """Refuses settings by which a row would be another one under its name.

    Raises:
        ConfigError: If one sets what makes the row that row, or the seed.
    """
    for key in settings:
        if key == "train.seed":
            raise ConfigError("--set train.seed: the seeds of a row are given with --seeds")
        if key in row.overrides:
            raise ConfigError(
                f"--set {key}: the row {row.name} is what it is by {key}, which is "
                f"{row.overrides[key]!r} there; set something else, or name other rows with --rows"
            )


def _without_paths(overrides: Overrides) -> Overrides:
    """Cuts absolute paths down to their ends: they say nothing on another machine."""
    return {
        key: f".../{Path(value).name}"
        if isinstance(value, str) and Path(value).is_absolute()
        else value
        for key, value in overrides.items()
    }


def _command(name: str, row: Row, seed: int, settings: Overrides) -> str:
    """Returns the command that measures this row with this seed alone."""
    words = [f"--set {shlex.quote(write_setting(*each))}" for each in settings.items()]
    return " ".join([f"python -m recipes.measure {name} --rows {row.name} --seeds {seed}", *words])


if __name__ == "__main__":
    run_stage(main)
