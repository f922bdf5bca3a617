"""A recipe under an experiment's form: its values, and on top what the form changes."""

from collections.abc import Mapping
from typing import Any

from flows.experiments.form import check_values
from flows.experiments.run_experiment import apply_changes, find_changes
from flows.faults import FlowError
from imf_core.errors import ConfigError
from recipes.recipe import read_recipe


def lay_recipe(
    recipe: str | None, filled_in: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the values of an experiment.

    Args:
        recipe: A recipe's name, or None.
        filled_in: The values in the form; those that `base` has too stand behind the recipe's.
        base: The values of params.yaml.

    Raises:
        FlowError: If there is no such recipe, or it does not go together with the values.
    """
    if recipe is None:
        return dict(filled_in)
    try:
        overrides = read_recipe(recipe)
    except ConfigError as error:
        raise FlowError(str(error)) from error
    of_recipe = check_values(apply_changes(base, overrides), f"recipes/{recipe}.yaml")
    values = apply_changes(of_recipe, find_changes(filled_in, base))
    return check_values(values, f"recipes/{recipe}.yaml with the form's values")
