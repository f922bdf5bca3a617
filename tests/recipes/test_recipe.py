"""Recipes and rows: valid over params.yaml; errors name invalid ones."""

from pathlib import Path

import pytest
from tiny_world import ROOT

from imf_core.base.errors import ConfigError
from imf_core.base.params_file import load_params
from recipes.recipe import lay_over, list_recipes, read_overrides, read_recipe
from recipes.rows import FULL, ROWS, TWO_STRUCTURES, find_row, is_row_of, overrides_of

VALUES = load_params(ROOT / "params.yaml").model_dump()


def rows_of(recipe: dict[str, object]) -> list[str]:
    params = lay_over(VALUES, recipe, "recipe")
    return [row.name for row in ROWS if is_row_of(row, params)]


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_is_valid_over_params_yaml_and_names_its_data(name: str) -> None:
    recipe = read_recipe(name)
    lay_over(VALUES, recipe, name)
    assert "dataset.name" in recipe
    text = (ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")


@pytest.mark.parametrize("name", list_recipes())
def test_every_row_of_a_recipe_is_valid(name: str) -> None:
    recipe = read_recipe(name)
    params = lay_over(VALUES, recipe, name)
    for row in ROWS:
        if is_row_of(row, params):
            lay_over(VALUES, overrides_of(recipe, row), f"{name}, {row.name}")


def test_the_recipe_of_atlas_is_params_yaml_as_it_stands() -> None:
    assert lay_over(VALUES, read_recipe("atlas"), "atlas").model_dump() == VALUES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fusion: {rnk: 3}", r"unknown key fusion.rnk; did you mean fusion.rank"),
        ("fusoin: {rank: 3}", r"unknown key fusoin; did you mean fusion"),
        ("fusion: {rank: three}", r"fusion.rank must be an integer, got 'three'"),
        ("fusion: 3", r"fusion must be a mapping of keys, got 3"),
        ("- fusion", r"must be a mapping of sections"),
        ("fusion: [", r"is not valid YAML"),
    ],
)
def test_a_faulty_recipe_is_refused_with_file_and_key(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"mine.yaml.*{message}"):
        lay_over(VALUES, read_overrides(path), str(path))


def test_a_file_that_is_all_comment_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text("# what params.yaml says\n")
    assert read_overrides(tmp_path / "bare.yaml") == {}


def test_a_recipe_or_row_that_does_not_exist_is_an_error_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'wn18', there are atlas, .*mean wn18rr"):
        read_recipe("wn18")
    with pytest.raises(ConfigError, match="no row 'all', there are structure, text"):
        find_row("all")


def test_a_row_is_left_out_where_the_recipe_lacks_its_modality() -> None:
    rows = rows_of({"model.modalities": ["structure", "text"]})
    assert {"structure", "text", "structure-text", FULL, TWO_STRUCTURES, "paper"} <= set(rows)
    assert {"image", "structure-image", "structure-image-text"} & set(rows) == set()


def test_a_row_that_changes_nothing_about_the_recipe_is_left_out() -> None:
    assert "narrow" in rows_of({"fusion.form": "full"})
    assert "narrow" not in rows_of({"fusion.form": "narrow"})
    assert "rank-8" in rows_of({"fusion.rank": 3})
    assert "rank-8" not in rows_of({"fusion.rank": 8})


def test_a_recipe_of_structure_alone_has_no_ablations() -> None:
    assert rows_of({"model.modalities": ["structure"]}) == [FULL, "paper", TWO_STRUCTURES]
