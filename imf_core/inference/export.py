"""Exports facts as TSV or N-Triples, and embeddings as Parquet.

In N-Triples, a label that is an IRI (with `://`, or a `urn:`) is used as it is. Any other label
gets an IRI under the user's prefix: `<prefix>entity/` or `<prefix>relation/` and the
percent-encoded label, so different labels stay different. An RDF statement has no place for a
probability; the TSV has it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal as OneOf
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyoxigraph
from pyoxigraph import Literal, NamedNode, RdfFormat, Triple

from imf_core.base.artifacts import write_bytes, write_parquet, write_text
from imf_core.base.errors import QuestionError
from imf_core.inference.completer import Completer

LABEL = NamedNode("http://www.w3.org/2000/01/rdf-schema#label")

Kind = OneOf["entity", "relation"]


def write_ntriples(facts: pa.Table, path: Path, prefix: str | None) -> None:
    """Writes facts as N-Triples, then the names of their entities and relations, sorted by IRI.

    Args:
        facts: With labels and names of head, relation and tail.
        path: Path of the file.
        prefix: Absolute IRI for labels that are not IRIs, such as `https://example.org/`.

    Raises:
        QuestionError: If a label is not an IRI and there is no prefix, or the prefix is not an
            absolute IRI.
    """
    if prefix is not None and _as_iri(prefix) is None:
        raise QuestionError(
            f"the prefix must be an absolute IRI such as https://example.org/, got {prefix!r}"
        )
    content = pyoxigraph.serialize(_triples(facts, prefix), format=RdfFormat.N_TRIPLES)
    assert content is not None
    write_bytes(path, content)


def _triples(facts: pa.Table, prefix: str | None) -> Iterator[Triple]:
    """Yields the facts, then the names."""
    names: dict[str, str] = {}
    for fact in facts.to_pylist():
        head, relation, tail = (
            _node(fact[role], "relation" if role == "relation" else "entity", prefix)
            for role in ("head", "relation", "tail")
        )
        for node, role in ((head, "head"), (relation, "relation"), (tail, "tail")):
            if fact[f"{role}_name"] != fact[role]:
                names[node.value] = fact[f"{role}_name"]
        yield Triple(head, relation, tail)
    for iri, name in sorted(names.items()):
        yield Triple(NamedNode(iri), LABEL, Literal(name))


def _node(label: str, kind: Kind, prefix: str | None) -> NamedNode:
    """Returns the IRI of a label."""
    node = _as_iri(label)
    if node is not None:
        return node
    if prefix is None:
        raise QuestionError(
            f"{label!r} is no IRI; give a prefix under which labels become one, such as "
            "--prefix https://example.org/"
        )
    if not prefix.endswith(("/", "#")):
        raise QuestionError(f"a prefix must end with / or #, got {prefix!r}")
    return NamedNode(f"{prefix}{kind}/{_as_path(label)}")


def _as_path(label: str) -> str:
    """Percent-encodes a label, with the dots of `.` and `..`, which would lead to other folders."""
    return "/".join(
        segment.replace(".", "%2E") if segment in {".", ".."} else segment
        for segment in quote(label).split("/")
    )


def _as_iri(label: str) -> NamedNode | None:
    """Returns a label as an IRI, None if it is not an absolute IRI."""
    if "://" not in label and not label.startswith("urn:"):
        return None
    try:
        return NamedNode(label)
    except ValueError:
        return None


TSV_COLUMNS = (
    "head",
    "relation",
    "tail",
    "probability",
    "head_name",
    "relation_name",
    "tail_name",
)

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def write_tsv(facts: pa.Table, path: Path, further: Sequence[str] = ()) -> None:
    """Writes facts as tab-separated text with a header line.

    Backslashes, tabs and line ends within labels and names are escaped by a backslash. A null
    probability is an empty field.

    Args:
        facts: With the columns `TSV_COLUMNS`.
        path: Path of the file.
        further: Names of further columns of text.
    """
    columns = [*TSV_COLUMNS, *further]
    lines = ["\t".join(columns)]
    for row in facts.select(columns).to_pylist():
        probability = row["probability"]
        row["probability"] = "" if probability is None else f"{probability:.4f}"
        lines.append("\t".join(row[name].translate(_ESCAPES) for name in columns))
    write_text(path, "\n".join(lines) + "\n")


def write_embeddings(completer: Completer, folder: Path) -> list[Path]:
    """Writes the embeddings of all entities and relations, one file for each channel.

    Args:
        completer: Holds the model.
        folder: Gets `entities/<channel>.parquet` (`label`, `name`, `is_present`: whether the entity
            has the channel's modality, `vector`) and `relations/<channel>.parquet` (`label`,
            `name`, `is_inverse`, `vector`).

    Returns:
        Paths of the files.
    """
    graph, scorer = completer.graph, completer.scorer
    paths = []
    for channel, vectors in scorer.entities.items():
        table = pa.table(
            {
                "label": pa.array(graph.entity_labels, pa.string()),
                "name": pa.array(graph.entity_names, pa.string()),
                "is_present": scorer.model.channels[channel].is_present.cpu().numpy(),
                "vector": _as_lists(vectors.cpu().numpy()),
            }
        )
        paths.append(folder / "entities" / f"{channel}.parquet")
        write_parquet(paths[-1], table)
    for channel, vectors in scorer.relations.items():
        table = pa.table(
            {
                "label": pa.array(2 * graph.relation_labels, pa.string()),
                "name": pa.array(2 * graph.relation_names, pa.string()),
                "is_inverse": np.repeat([False, True], graph.num_relations),
                "vector": _as_lists(vectors.detach().cpu().numpy()),
            }
        )
        paths.append(folder / "relations" / f"{channel}.parquet")
        write_parquet(paths[-1], table)
    return paths


def _as_lists(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Makes a column of vectors, shape: (N, D), dtype: float32."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
