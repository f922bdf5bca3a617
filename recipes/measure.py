"""Measures the rows of a data set's table: `imf measure NAME`.

Reads the prepared graph and features of the workspace, which must match the recipe. All other
values are those of the committed params.yaml, overridden by the recipe, the row and the seed. A
stored measurement with the same values, facts and features is not repeated. A killed run resumes.
"""

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml.error import YAMLError

from imf_core.base.config import Params, SettledParams
from imf_core.base.errors import ConfigError
from imf_core.base.params_file import load_params
from imf_core.base.yaml_text import read_yaml
from imf_core.training.settle import settle
from recipes.measurement import find_basis, measure_row
from recipes.recipe import Overrides, lay_over, read_recipe
from recipes.rows import ROWS, Row, find_row, is_row_of, overrides_of
from recipes.store import RESULTS, Store, update_gains
from recipes.workspace import check_prepared, read_committed
from stages.inputs import load_inputs
from stages.paths import FEATURES, GRAPH, PARAMS
from stages.runner import state_folder
from stages.training import read_chosen

INPUTS = (GRAPH / "triples.parquet", *FEATURES.values())


def measure(
    name: str,
    row_names: Sequence[str] | None,
    seeds: Sequence[int],
    words: Sequence[str],
    again: bool,
) -> None:
    """Measures rows, seed by seed.

    Args:
        name: A recipe.
        row_names: Rows of the table; None for all that the data set has.
        seeds: Values of `train.seed`.
        words: Values on top of the recipe, as for `read_setting`.
        again: Whether to measure stored rows again.

    Raises:
        ConfigError: If a name or a value is unknown or refused, or the workspace holds other data.
    """
    settings = dict(map(read_setting, words))
    recipe = {**read_recipe(name), **settings}
    values = read_committed().model_dump()
    source = f"recipes/{name}.yaml with --set"
    expected = lay_over(values, recipe, source)
    check_prepared(name, load_params(PARAMS), expected)
    row_names = row_names or [row.name for row in ROWS]
    wanted = list(map(find_row, row_names))
    for row in wanted:
        _refuse_another_row(row, settings)
    rows = [row for row in wanted if is_row_of(row, expected)]
    if left_out := set(row_names) - {row.name for row in rows}:
        print(f"not rows of {name}: {', '.join(sorted(left_out))}")
    # Checks all values before hours of training.
    planned = [
        (row, seed, _settle(lay_over(values, overrides_of(recipe, row, seed), source)))
        for seed in seeds
        for row in rows
    ]
    store = Store(RESULTS, state_folder() / "ranks")
    graph, tables = load_inputs()
    for row, seed, params in planned:
        title = f"{name}, {row.name}, seed {seed}"
        found = store.load(name, row.name, seed)
        basis = find_basis(params, graph, tables)
        if found is not None and found.basis == basis and not again:
            print(f"{title}: measured already, MRR {found.test['mrr']:.4f} on test", flush=True)
            continue
        measurement, test = measure_row(
            name,
            row,
            params,
            _without_paths(overrides_of(recipe, row)),
            _command(name, row, seed, _without_paths(settings)),
            graph,
            tables,
            INPUTS,
            state_folder() / "checkpoints",
        )
        store.save(measurement, test)
        update_gains(store, name)
        print(f"{title}: MRR {measurement.test['mrr']:.4f} on test", flush=True)


def read_setting(word: str) -> tuple[str, Any]:
    """Parses `section.key=value`, the value as in params.yaml.

    Raises:
        ConfigError: If the word has another form.
    """
    key, equals, value = word.partition("=")
    if not equals or key.count(".") != 1:
        raise ConfigError(f"--set must be section.key=value, got {word!r}")
    try:
        return key, read_yaml(value)
    except YAMLError as error:
        raise ConfigError(f"--set {word}: the value is not valid YAML: {error}") from error


def write_setting(key: str, value: Any) -> str:
    """Formats a setting for `read_setting`, on one line."""
    flow = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    word = flow.removesuffix("...\n").strip()
    # PyYAML does not quote strings that `read_yaml` takes for numbers, such as 1e5.
    return f"{key}={word if read_yaml(word) == value else json.dumps(value)}"


def _settle(params: Params) -> SettledParams:
    """Replaces every `auto` by the value chosen in the workspace."""
    return settle(params, read_chosen(params.model, params.train))


def _refuse_another_row(row: Row, settings: Overrides) -> None:
    """Refuses settings that override the row's own values or the seed.

    Raises:
        ConfigError: If a setting overrides a value of the row, or the seed.
    """
    for key in settings:
        if key == "train.seed":
            raise ConfigError("--set train.seed: give the seeds of a row with --seeds")
        if key in row.overrides:
            raise ConfigError(
                f"--set {key}: the row {row.name} itself sets {key} to "
                f"{row.overrides[key]!r}; set another key, or name other rows with --rows"
            )


def _without_paths(overrides: Overrides) -> Overrides:
    """Shortens absolute paths to their names, which mean the same on any machine."""
    return {
        key: f".../{Path(value).name}"
        if isinstance(value, str) and Path(value).is_absolute()
        else value
        for key, value in overrides.items()
    }


def _command(name: str, row: Row, seed: int, settings: Overrides) -> str:
    """Returns the command that measures this row and seed."""
    words = [f"--set {shlex.quote(write_setting(*each))}" for each in settings.items()]
    return " ".join([f"imf measure {name} --rows {row.name} --seeds {seed}", *words])
