"""What training, evaluation and prediction read alike: the graph and the feature tables."""

from imf_core.data.graph import Graph, load_graph
from imf_core.features.table import FeatureTable, load_features
from stages.layout import GRAPH, IMAGE_FEATURES, TEXT_FEATURES


def load_inputs() -> tuple[Graph, dict[str, FeatureTable]]:
    """Loads the prepared graph and both feature tables, refusing those of another graph."""
    graph = load_graph(GRAPH)
    tables = {
        "image": load_features(IMAGE_FEATURES, graph.fingerprint),
        "text": load_features(TEXT_FEATURES, graph.fingerprint),
    }
    return graph, tables
