"""A model of the tiny graph behind the application, with hostile labels and some pictures."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from fastapi.testclient import TestClient
from tiny_world import COUNTRIES, small_params, tiny_graph, tiny_model, tiny_tables

from imf_core.base.artifacts import write_parquet
from imf_core.graph.entities import FINGERPRINT_KEY
from imf_core.graph.feature_table import save_features
from imf_core.graph.graph import Graph
from imf_core.graph.labels import save_graph
from imf_core.inference.completer import Completer
from imf_core.inference.model_folder import load_completer
from imf_core.model.decision import Calibration
from imf_core.model.saved import save_calibration, save_model
from imf_core.paths.channel import build_channel
from imf_core.paths.pretrained import load_pretrained
from imf_core.raster.shards import MANIFEST, ShardWriter
from imf_core.serve.access import Access
from imf_core.serve.app import create_app
from imf_core.serve.pictures import Pictures

HOST = "http://127.0.0.1"

HOSTILE = [
    "<img src=x onerror=window.isHacked=1>",
    "..",
    ".",
    "a/../b",
    "/",
    "100 %2F",
    "quote \"and\" 'quote'",
    "turn \u202e back",
    "red \x1b[31m text",
    "?x=1&y=2#z",
    "\\",
    "café",
]
"""Labels of the first countries."""

HOSTILE_NAME = "</script><script>window.isHacked=1</script>"
HOSTILE_RELATION = "<b onclick=window.isHacked=1>next to</b>"
FIRST_COUNTRY = COUNTRIES.start
PICTURED = range(COUNTRIES.start, COUNTRIES.start + 4)

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0"
    "000003010100c9fe92ef0000000049454e44ae426082"
)


def hostile_graph() -> Graph:
    """The tiny graph with hostile labels and names."""
    graph = tiny_graph()
    labels, names = list(graph.entity_labels), list(graph.entity_names)
    for place, label in enumerate(HOSTILE):
        labels[FIRST_COUNTRY + place] = label
    names[FIRST_COUNTRY + len(HOSTILE)] = HOSTILE_NAME
    texts = [f"{HOSTILE_NAME} {number}" for number in range(graph.num_entities)]
    relations = ["in", HOSTILE_RELATION, "speaks"]
    return replace(
        graph,
        entity_labels=labels,
        entity_names=names,
        entity_descriptions=texts,
        relation_names=relations,
    )


def make_completer(folder: Path, with_paths: bool = True) -> Completer:
    """Writes and loads an untrained model of the hostile graph."""
    graph, params, tables = hostile_graph(), small_params(), tiny_tables()
    save_graph(graph, graph.facts, folder / "graph")
    for name, table in tables.items():
        save_features(table, graph.fingerprint, folder / f"{name}.parquet")
    model = tiny_model(graph=graph)
    if with_paths:
        model.set_paths(build_channel(load_pretrained(), graph))
    save_model(model, folder / "model", graph, tables, params, {})
    calibration = Calibration(slope=0.5, offset=-0.2, shown=10, answers=9, true_answers=3)
    save_calibration(calibration, folder / "model")
    paths = {name: folder / f"{name}.parquet" for name in tables}
    return load_completer(folder / "graph", folder / "model", paths)


def make_pictures(folder: Path, graph: Graph) -> Pictures:
    """Writes two pictures of some entities, in shards of three, and opens them."""
    metadata = {FINGERPRINT_KEY: graph.fingerprint}
    shards = ShardWriter(folder, 3, metadata)
    for entity in PICTURED:
        shards.append(entity, [PICTURE, PICTURE + bytes([entity])])
    shards.flush()
    counts = [2 * (entity in PICTURED) for entity in range(graph.num_entities)]
    manifest = {"entity_id": range(graph.num_entities), "num_images": counts}
    write_parquet(folder / MANIFEST, pa.table(manifest), metadata)
    return Pictures(folder, graph.fingerprint, graph.num_entities)


def make_client(folder: Path, access: Access | None = None, with_paths: bool = True) -> TestClient:
    """Returns a client of the application."""
    completer = make_completer(folder, with_paths)
    pictures = make_pictures(folder / "images", completer.graph)
    app = create_app(completer, pictures, access=access)
    return TestClient(app, base_url=HOST, raise_server_exceptions=False)
