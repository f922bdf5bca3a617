"""Prints a recipe as arguments of `dvc exp run`: `python -m recipes NAME [--row ROW] [--seed N]`.

`dvc exp run $(python -m recipes db15k --row structure --seed 1)` runs that row of the table in the
workspace.
"""

import argparse
import sys

from imf_core.base.config import Params
from imf_core.base.errors import ConfigError
from imf_core.base.params_file import load_params
from recipes.recipe import Overrides, lay_over, list_recipes, make_arguments, read_recipe
from recipes.rows import FULL, ROWS, find_row, is_row_of, overrides_of
from recipes.workspace import find_differences, read_committed
from stages.paths import PARAMS
from stages.runner import run_stage

REFUSED = "--no-such-recipe"
"""Printed on errors: DVC refuses it, but would run without arguments."""


def main() -> None:
    """Prints the arguments of `dvc exp run` for a recipe on one line."""
    try:
        given = _parse()
        committed = read_committed()
        overrides = _find_overrides(committed, given.name, given.row, given.seed)
        print(" ".join(make_arguments(overrides)))
    except (ConfigError, SystemExit) as error:
        if not isinstance(error, SystemExit) or error.code:
            print(REFUSED)
        raise
    _warn_of_leftovers(committed, overrides)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m recipes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help=", ".join(list_recipes()))
    parser.add_argument("--row", default=FULL, help=", ".join(row.name for row in ROWS))
    parser.add_argument("--seed", type=int, help="train.seed; by default that of params.yaml")
    return parser.parse_args()


def _find_overrides(committed: Params, name: str, row_name: str, seed: int | None) -> Overrides:
    """Returns the values of a row of a data set."""
    recipe, row, values = read_recipe(name), find_row(row_name), committed.model_dump()
    if not is_row_of(row, lay_over(values, recipe, f"recipes/{name}.yaml")):
        raise ConfigError(
            f"{name} has no row {row_name}: the row needs a modality that recipes/{name}.yaml "
            "leaves out, or does not differ from the recipe"
        )
    if row.num_models > 1:
        raise ConfigError(
            f"the row {row_name} has {row.num_models} models, so it is not an experiment; "
            f"run `imf measure {name} --rows {row_name}`"
        )
    overrides = overrides_of(recipe, row)
    if seed is not None:
        overrides["train.seed"] = seed
    lay_over(values, overrides, f"recipes/{name}.yaml, row {row_name}")
    return overrides


def _warn_of_leftovers(committed: Params, overrides: Overrides) -> None:
    """Prints values in params.yaml that are neither committed nor of the recipe."""
    found = load_params(PARAMS)
    expected = lay_over(found.model_dump(), overrides, "the recipe")
    base = lay_over(committed.model_dump(), overrides, "the recipe")
    if differences := find_differences(expected, base, Params.model_fields):
        print(
            f"note: {PARAMS} has uncommitted values, which also apply: {'; '.join(differences)}; "
            f"`git checkout {PARAMS}` restores the committed ones",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run_stage(main)
