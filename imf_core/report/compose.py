"""From the files of a finished run to all that its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imf_core.base.artifacts import read_json, read_parquet
from imf_core.base.config import name_graph
from imf_core.base.modality import find_modalities
from imf_core.graph.entities import read_entity_words
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph, count_train_facts, find_degree_bins
from imf_core.graph.issues import issues_of
from imf_core.model.saved import CONFIG, load_calibration
from imf_core.model.scorer import Scorer
from imf_core.report import comparison
from imf_core.report.charts import average_weights
from imf_core.report.comparison import Ranked, read_test_ranks
from imf_core.report.curves import (
    draw_reliability,
    draw_training,
    read_curves,
    read_reliability,
    read_trials,
)
from imf_core.report.entities import (
    EntityCards,
    choose_sample,
    entities_with_picture,
    find_failures,
    read_credits,
    read_thumbnails,
)
from imf_core.report.examples import (
    MAX_ROWS,
    choose_new_facts,
    choose_suspects,
    count_predictions,
    find_mistakes,
    format_redundancy,
    make_relation_rows,
    read_relations,
)
from imf_core.report.figures import Figure, draw_groups, draw_metrics, draw_ranks, draw_weights
from imf_core.report.page import Lock, Page, describe_environment
from imf_core.report.relations import ask_relations

METRICS = "metrics.json"
RANKS = "ranks.parquet"
RELIABILITY = "reliability.csv"
CURVES = Path("plots/metrics")


@dataclass(frozen=True)
class RunFiles:
    """Where a run's files stand.

    Attributes:
        graph: Folder of the prepared graph.
        media: Folder of what was looked up.
        images: Folder of the picture shards.
        summary: `data.json`.
        relations: `data_relations.csv`.
        trials: `trials.csv` of the stage `tune`.
        training: Folder of the curves.
        model: Folder of the model.
        evaluation: Folder of ranks and metrics.
        baseline: The same of structure alone.
        predictions: `predictions.parquet`.
    """

    graph: Path
    media: Path
    images: Path
    summary: Path
    relations: Path
    trials: Path
    training: Path
    model: Path
    evaluation: Path
    baseline: Path
    predictions: Path


def compose_page(
    files: RunFiles,
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    scorer: Scorer,
    committed: Mapping[str, Any] | comparison.NotCompared,
    lock: Lock | None,
) -> Page:
    """Reads what a run has written and asks its model about its mistakes.

    Args:
        files: Where to read.
        graph: The prepared graph.
        tables: Its feature tables.
        scorer: The trained model.
        committed: Metrics of the last committed run, or why it is not compared with.
        lock: What `dvc.lock` says of the other stages, None where DVC did not run them.

    Raises:
        DataError: If a file is missing or damaged.
    """
    (_, names, descriptions), _ = read_entity_words(
        files.graph / "entities.parquet", files.media / "descriptions.parquet"
    )
    full = read_test_ranks(files.evaluation / RANKS)
    assert full is not None, "a trained model has ranks"
    baseline = read_test_ranks(files.baseline / RANKS)
    described = read_relations(files.relations, graph)
    relation_names = [row["name"] for row in described]
    summary, training = read_json(files.summary), read_json(files.model / CONFIG)["training"]
    issues, metrics = issues_of(summary["issues"]), read_json(files.evaluation / METRICS)
    predictions = read_parquet(files.predictions)
    relations = make_relation_rows(described, full, baseline)
    new_facts = choose_new_facts(predictions, graph)
    calibration = load_calibration(files.model)
    mistakes = find_mistakes(scorer, calibration, graph, full)
    related = ask_relations(scorer, calibration, graph)
    suspects = choose_suspects(graph, scorer)
    with_picture = entities_with_picture(files.images)
    sample = choose_sample(graph, with_picture)
    in_facts = [each for fact in new_facts for each in (fact.head, fact.tail)]
    in_facts += [each for fact in mistakes for each in (fact.head, fact.tail, fact.preferred)]
    drawn = [path for fact in new_facts for path in fact.paths]
    drawn += [path for fact in mistakes for path in fact.paths]
    in_facts += [each for path in drawn for each in path.entities]
    in_facts += [each for fact in related.examples for each in (fact.head, fact.tail)]
    in_facts += [each for fact in suspects for each in (fact.head, fact.tail)]
    shown = [*sample, *in_facts]
    cards = EntityCards(
        names, descriptions, read_thumbnails(files.images, graph.fingerprint, shown)
    )
    standing, beside = comparison.place_committed(metrics, committed)
    rows = comparison.list_metrics(
        metrics["test"], read_json(files.baseline / METRICS).get("test", {}), beside
    )
    return Page(
        title=name_graph(summary["dataset"], lock.params.get("dataset.path", "") if lock else ""),
        summary=summary,
        num_with_picture=len(with_picture),
        issues=issues + find_failures(files.images, names, {issue.kind for issue in issues}),
        redundant=format_redundancy(described),
        relation_names=relation_names,
        cards=cards,
        sample=[cards.sampled(each, graph, relation_names) for each in sample],
        rows=rows,
        gain=comparison.estimate_full_gain(full, baseline),
        committed=standing,
        training=training,
        baseline_training=read_json(files.baseline / METRICS).get("training", {}),
        trials=read_trials(files.trials),
        curves=draw_training(read_curves(files.training / CURVES), training["selected_epoch"]),
        figures={
            "metrics": draw_metrics(rows),
            **_draw_comparisons(graph, relation_names, tables, scorer, full, baseline),
            "reliability": draw_reliability(read_reliability(files.evaluation / RELIABILITY)),
        },
        relations=relations[:MAX_ROWS],
        num_relations_left_out=max(0, len(relations) - MAX_ROWS),
        has_paths=scorer.model.paths is not None,
        new_facts=new_facts,
        predicted=count_predictions(predictions),
        mistakes=mistakes,
        related=related,
        suspects=suspects,
        lock=lock,
        environment=describe_environment(),
        credits=read_credits(files.media, shown, names),
    )


def _draw_comparisons(
    graph: Graph,
    relation_names: Sequence[str],
    tables: Mapping[str, FeatureTable],
    scorer: Scorer,
    full: Ranked,
    baseline: Ranked | None,
) -> dict[str, Figure]:
    """Draws the figures that are made of ranks."""
    degree_bins = find_degree_bins(count_train_facts(graph)).numpy()
    by_degree = comparison.compare_by_degree(full, baseline, degree_bins)
    found = {
        "ranks": draw_ranks(full, baseline),
        "degree": draw_groups(
            "degree",
            "By how many train facts the entity asked about has",
            "train facts of the entity asked about",
            "with {}",
            by_degree,
        ),
    }
    is_present = {
        name: table.is_present.numpy()
        for name, table in tables.items()
        if bool(table.is_present.any())
    }
    by_media = comparison.compare_by_media(full, baseline, is_present)
    if by_media:
        nouns = ", ".join(find_modalities()[name].noun for name in is_present)
        title = f"Questions about entities with and without {nouns}"
        found["media"] = draw_groups("media", title, None, "{}", by_media)
    if len(scorer.channel_names) > 1:
        weights = average_weights(scorer.model, full, graph.num_relations)
        counts = np.bincount(full.facts[:, 1], minlength=graph.num_relations).tolist()
        found["weights"] = draw_weights(weights, scorer.channel_names, relation_names, counts)
    return found
