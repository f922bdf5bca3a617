"""The files of a run on the tiny graph, in the stages' formats."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import torch
from PIL import Image
from tiny_world import COUNTRIES, small_params, tiny_graph, tiny_model, tiny_paths, tiny_tables

from imf_core.base.artifacts import write_csv, write_json, write_parquet, write_text
from imf_core.evaluation.metrics import overall_metrics, rank_rows
from imf_core.evaluation.ranking import rank_triples
from imf_core.graph.entities import FINGERPRINT_KEY
from imf_core.graph.graph import Graph
from imf_core.graph.issues import DataIssue
from imf_core.graph.known_tails import known_tails_in
from imf_core.graph.labels import save_graph
from imf_core.inference.predict import predict_facts
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import save_calibration, save_model
from imf_core.model.scorer import Scorer
from imf_core.raster.shards import ShardWriter
from imf_core.report.comparison import NotCompared
from imf_core.report.compose import RunFiles, compose_page
from imf_core.report.page import Page, describe_lock

HOSTILE = '</script><img src=x onerror="window.isHacked=1"><script>window.isHacked=1</script>'
"""A name that would run a script in a page without escaping."""

CALIBRATION = Calibration(slope=1.0, offset=0.0, shown=3, answers=10, true_answers=5)

TRIALS = [
    {
        "channels": "structure",
        "trial": number,
        "setting": f"train.n3 {n3}",
        "epochs": 30,
        "valid_mrr": mrr,
        "ended": "complete",
        "is_chosen": chosen,
    }
    for number, n3, mrr, chosen in ((1, 0.1, 0.2, ""), (2, 0.03, 0.4, "yes"))
]
"""Trials of the stage `tune`."""

ISSUE = DataIssue("unread_files", 7, "files were not read", (HOSTILE, "b.csv"))
"""An issue of the data."""

LOCKED = {
    "media": {
        "params": {
            "params.yaml": {
                "fetch": {"contact": "somebody@example.org"},
                "media": {"source": "none"},
            }
        },
        "outs": [{"path": "data/media", "hash": "md5", "md5": "abc.dir", "size": 12}],
    }
}
"""Entries of `dvc.lock`."""


def named_graph() -> Graph:
    """The tiny graph with some hostile names."""
    graph = tiny_graph()
    names, texts = list(graph.entity_names), list(graph.entity_descriptions)
    for country in COUNTRIES:
        names[country] = f"{HOSTILE} {country}"
        texts[country] = f"{HOSTILE} word " * 9
    relations = [f"{HOSTILE} next to", *graph.relation_names[1:]]
    return replace(graph, entity_names=names, entity_descriptions=texts, relation_names=relations)


def model_with_paths() -> IMF:
    """The tiny model with a channel of paths."""
    model = tiny_model()
    model.set_paths(tiny_paths(named_graph()))
    return model


def draw_picture(colour: int) -> bytes:
    """A picture larger than a thumbnail."""
    buffer = io.BytesIO()
    Image.new("RGB", (200, 150), (colour, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def write_run(root: Path, model: IMF) -> RunFiles:
    """Writes all inputs of the report, with pictures of the countries."""
    files = RunFiles(
        graph=root / "graph",
        media=root / "media",
        images=root / "images",
        summary=root / "data.json",
        relations=root / "data_relations.csv",
        trials=root / "trials.csv",
        training=root / "training",
        model=root / "model",
        evaluation=root / "evaluation",
        baseline=root / "baseline",
        predictions=root / "predictions.parquet",
    )
    params = small_params({"predict.min_relation_affinity": 0.0})
    graph = named_graph()
    save_graph(graph, graph.facts, files.graph)
    training = {"selected_epoch": 2, "trained_epochs": 4, "is_still_rising": False}
    save_model(model, files.model, graph, tiny_tables(), params, training)
    save_calibration(CALIBRATION, files.model)
    _write_ranks(files.evaluation, model, graph)
    structure = {"model.modalities": ["structure"]}
    _write_ranks(files.baseline, tiny_model(structure), graph)
    write_parquet(
        files.predictions, predict_facts(Scorer(model), CALIBRATION, graph, params.predict)
    )
    titles = "probability,from,to,answers,mean_probability,share_true"
    rows = "calibrated,0,0.5,8,0.25,0.5\ncalibrated,0.5,1,0,0,0\n"
    write_text(files.evaluation / "reliability.csv", f"{titles}\n{rows}")
    for name, values in {"loss": (3.0, 2.0), "valid_mrr": (0.2, 0.4)}.items():
        lines = [f"step\t{name}", *(f"{2 * place}\t{value}" for place, value in enumerate(values))]
        write_text(files.training / "plots/metrics" / f"{name}.tsv", "\n".join(lines) + "\n")
    write_csv(files.trials, TRIALS)
    _write_audit(files, graph)
    _write_media(files, graph)
    return files


def compose(
    files: RunFiles,
    committed: dict[str, object] | NotCompared = NotCompared.NO_RUN,
    model: IMF | None = None,
) -> Page:
    """Composes the page of a written run; its model is `tiny_model()` where None."""
    return compose_page(
        files,
        named_graph(),
        tiny_tables(),
        Scorer(model or tiny_model()),
        committed,
        describe_lock(LOCKED),
    )


def _write_ranks(folder: Path, model: IMF, graph: Graph) -> None:
    known = known_tails_in(graph)
    table = rank_triples(
        Scorer(model), graph.triples["test"], known, graph.num_relations, batch_size=8
    )
    write_parquet(folder / "ranks.parquet", rank_rows(table, graph, "test"))
    write_json(folder / "metrics.json", {"test": overall_metrics(table)})


def _write_audit(files: RunFiles, graph: Graph) -> None:
    described = [
        {
            "relation": label,
            "name": name,
            "train_facts": 10,
            "cardinality": "n-1",
            "symmetric": "no",
            "inverse_of": "",
            "duplicate_of": "",
        }
        for label, name in zip(graph.relation_labels, graph.relation_names, strict=True)
    ]
    write_csv(files.relations, described)
    keys = ("valid_in_train", "valid_in_test_only", "valid_given_away", "test_given_away")
    pairs = ("pairs_linked_in_train", "entities_unseen_in_train")
    nothing = dict.fromkeys([*keys, *(f"{s}_{p}" for s in ("valid", "test") for p in pairs)], 0)
    coverage = {"name": 22, "description": 15, "image_source": 13}
    ignored = ("texts_of_unknown_labels", "images_of_unknown_entities", "repeated_image_lines")
    write_json(
        files.summary,
        {
            "dataset": HOSTILE,
            "valid_source": "held out of train",
            "test_source": "as given",
            "entities": {
                "total": graph.num_entities,
                **{f"with_{key}": count for key, count in coverage.items()},
                **{f"share_with_{key}": count / 22 for key, count in coverage.items()},
                "in_no_fact": 0,
            },
            "relations": {"total": 3, "without_train_fact": 0},
            "facts": {split: len(triples) for split, triples in graph.triples.items()},
            "source": {
                **nothing,
                "duplicate_lines": {"train": 0},
                "test_facts_dropped": 0,
                "train_facts_dropped": 0,
            },
            "leaks": nothing,
            "ignored": dict.fromkeys(ignored, 0),
            "issues": [ISSUE.as_row()],
        },
    )


def write_sources(
    folder: Path,
    source_outcomes: Sequence[tuple[str, str, str, str | None]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes `sources.parquet`: source, status, reason and time of the outcome of each picture."""
    source, status, reason, fetched_at = zip(*source_outcomes, strict=True)
    table = {
        "entity_id": pa.array([COUNTRIES[1]] * len(source_outcomes), pa.int64()),
        "source": [HOSTILE + each for each in source],
        "status": status,
        "reason": reason,
        "fetched_at": pa.array(fetched_at, pa.string()),
    }
    write_parquet(folder / "sources.parquet", pa.table(table), dict(metadata or {}))


def _write_media(files: RunFiles, graph: Graph) -> None:
    metadata = {FINGERPRINT_KEY: graph.fingerprint}
    has_image = tiny_tables()["image"].is_present
    shards = ShardWriter(files.images, 4, metadata)
    for entity in torch.nonzero(has_image).flatten().tolist():
        shards.append(entity, [draw_picture(entity), draw_picture(255 - entity)])
    shards.flush()
    counts = pa.array((2 * has_image.long()).tolist(), pa.int32())
    ids = pa.array(range(graph.num_entities), pa.int64())
    manifest = pa.table({"entity_id": ids, "num_images": counts})
    write_parquet(files.images / "manifest.parquet", manifest, metadata)
    write_sources(
        files.images,
        [
            ("0.png", "ok", "", None),
            ("1.png", "surplus", "", None),
            ("2.png", "missing", "there is no such file", None),
            ("3.png", "truncated", "half a file", None),
            ("4.png", "truncated", "half a file", None),
        ],
        metadata,
    )
    looked_up = pa.table(
        {
            "entity_id": pa.array([COUNTRIES[1], COUNTRIES[2]], pa.int64()),
            "image_file": ["flag.svg", "flag.svg"],
            "image_author": [HOSTILE, None],
            "image_licence": ["CC BY 4.0", None],
            "image_page": ["javascript:alert(1)", "https://example.org/flag"],
        }
    )
    write_parquet(files.media / "manifest.parquet", looked_up, metadata)
    texts = {"entity_id": pa.array([], pa.int64())}
    for name in ("description", "name", "source_url", "licence"):
        texts[name] = pa.array([], pa.string())
    write_parquet(files.media / "descriptions.parquet", pa.table(texts), metadata)
