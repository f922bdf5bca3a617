"""Loads the graph and the feature tables for training, evaluation and prediction."""

from imf_core.graph.feature_table import FeatureTable, load_features
from imf_core.graph.graph import Graph, load_graph
from stages.paths import FEATURES, GRAPH


def load_inputs() -> tuple[Graph, dict[str, FeatureTable]]:
    """Loads the prepared graph and all feature tables; tables of another graph are an error."""
    graph = load_graph(GRAPH)
    tables = {name: load_features(path, graph.fingerprint) for name, path in FEATURES.items()}
    return graph, tables
