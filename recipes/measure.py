"""Measures the rows of a data set's table: `python -m recipes.measure NAME`.

Reads the prepared graph and features of the workspace, which must be made as the recipe says; all
other values are those of the committed params.yaml with the recipe, the row and the seed on top. A
row and seed that is stored already, measured with the same values, is left as it is. A killed run
goes on where it was.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml

from imf_core.config import load_params, read_yaml
from imf_core.errors import ConfigError
from recipes.gain import update_gains
from recipes.measurement import measure_row
from recipes.recipe import Overrides, lay_over, list_recipes, read_recipe
from recipes.rows import ROWS, Row, find_row, is_row_of, overrides_of
from recipes.store import RESULTS, Store
from recipes.workspace import check_prepared, read_committed
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
    rows = [row for row in map(find_row, given.rows) if is_row_of(row, expected)]
    if left_out := set(given.rows) - {row.name for row in rows}:
        print(f"not rows of {given.name}: {', '.join(sorted(left_out))}")
    # Checked before hours of training.
    planned = [
        (
            row,
            seed,
            lay_over(values, {**_values(recipe, row, settings), "train.seed": seed}, source),
        )
        for seed in given.seeds
        for row in rows
    ]
    store = Store(RESULTS, state_folder() / "ranks")
    graph, tables = load_inputs()
    for row, seed, params in planned:
        title = f"{given.name}, {row.name}, seed {seed}"
        overrides = _without_paths(_values(recipe, row, settings))
        found = store.load(given.name, row.name, seed)
        if found is not None and found.overrides == overrides and not given.again:
            print(f"{title}: measured already, MRR {found.test['mrr']:.4f} on test", flush=True)
            continue
        measurement, test = measure_row(
            given.name,
            row,
            params,
            overrides,
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


def _values(recipe: Overrides, row: Row, settings: Overrides) -> Overrides:
    """Returns all values of a row; what the command line says has the last word."""
    return {**overrides_of(recipe, row), **settings}


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
    words = [f"--set {key}={'null' if value is None else value}" for key, value in settings.items()]
    return " ".join([f"python -m recipes.measure {name} --rows {row.name} --seeds {seed}", *words])


if __name__ == "__main__":
    run_stage(main)
