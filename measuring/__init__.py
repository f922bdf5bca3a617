"""Shared by benchmarks and recipes: the environment of a measurement, and tables in texts."""
