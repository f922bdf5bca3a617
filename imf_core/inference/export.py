"""Exports facts as TSV and embeddings as Parquet."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from imf_core.artifacts import write_parquet, write_text
from imf_core.inference.completer import Completer

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


def write_tsv(facts: pa.Table, path: Path) -> None:
    """Writes facts as tab-separated text with a header line.

    Backslashes, tabs and line ends within labels and names are escaped by a backslash.
    """
    lines = ["\t".join(TSV_COLUMNS)]
    for row in facts.select(TSV_COLUMNS).to_pylist():
        row["probability"] = f"{row['probability']:.4f}"
        lines.append("\t".join(row[name].translate(_ESCAPES) for name in TSV_COLUMNS))
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
                "is_present": scorer.model.is_present(channel).cpu().numpy(),
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
