"""From source files to a graph with integer ids and a split."""
