"""Applies a recipe and then the changes of the form to the values of an experiment."""

from collections.abc import Mapping
from typing import Any

from flows.experiments.form import check_values
from flows.experiments.run_experiment import apply_changes, find_changes
from flows.faults import FlowError
from imf_core.errors import ConfigError
from recipes.recipe import read_recipe


def apply_recipe(
    recipe: str | None, filled_in: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the values of an experiment.

    Args:
        recipe: A recipe's name, or None.
        filled_in: The values in the form; those equal to `base` give way to the recipe.
        base: The values of params.yaml.

    Raises:
        FlowError: If the recipe does not exist or its values are not valid with the others.
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
