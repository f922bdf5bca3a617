"""What training, evaluation and prediction read alike: the graph and the feature tables."""

from imf_core.data.graph import Graph, load_graph
from imf_core.features.table import FeatureTable, load_features
from stages.layout import FEATURES, GRAPH


def load_inputs() -> tuple[Graph, dict[str, FeatureTable]]:
    """Loads the prepared graph and both feature tables, refusing those of another graph."""
    graph = load_graph(GRAPH)
    tables = {name: load_features(path, graph.fingerprint) for name, path in FEATURES.items()}
    return graph, tables
