"""Recipes: suitable values for each data set, their results, and the tables of results.

A recipe is a YAML file with the values that differ from `params.yaml`. `python -m recipes NAME`
prints it as arguments of `dvc exp run`, `imf measure NAME` trains the rows of the
table, and `python -m recipes.table` writes the table into the texts.
"""
