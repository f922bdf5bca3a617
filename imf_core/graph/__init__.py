"""The files that stages hand on: graph, known tails, feature tables, data issues."""
