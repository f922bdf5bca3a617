"""Recipes: for each data set the values that suit it, what they reach, and the table of that.

A recipe is a small YAML file that holds what differs from `params.yaml`. `python -m recipes NAME`
prints it as arguments of `dvc exp run`, `python -m recipes.measure NAME` trains the rows of the
table, and `python -m recipes.table` writes it into the texts.
"""
