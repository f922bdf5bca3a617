"""Numbers about the prepared graph: the table of relations and the summary `results/data.json`."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from imf_core.graph.entities import ImageSources
from imf_core.graph.labels import BETWEEN_LABELS, SPLITS, Facts, GraphLabels
from imf_core.graph.numbers import Numbers
from imf_core.prepare.facts import CLASSES, Cardinality, count_distinct_ids
from imf_core.prepare.redundancy import Redundancy, RelationPairs, count_leaks
from imf_core.prepare.source import LabelledTexts, SkippedImageLines, SourceGraph
from imf_core.prepare.split import Splits


def relation_rows(
    labels: GraphLabels,
    facts: Mapping[str, Facts],
    redundancy: Redundancy,
    cardinality: Cardinality,
) -> list[dict[str, Any]]:
    """Returns label, name, facts per split, cardinality and redundancy of every relation.

    Args:
        labels: Of the prepared graph.
        facts: Split name -> distinct facts, shape: (N, 3), dtype: int64.
        redundancy: Its redundant relations.
        cardinality: Cardinality of its train facts.
    """
    counts = {
        split: np.bincount(facts[split][:, 1], minlength=labels.num_relations) for split in SPLITS
    }
    inverse_of = _partner_labels(redundancy.inverse, labels.relation_labels)
    duplicate_of = _partner_labels(redundancy.duplicate, labels.relation_labels)
    return [
        {
            "relation": label,
            "name": labels.relation_names[relation],
            **{f"{split}_facts": int(counts[split][relation]) for split in SPLITS},
            "tails_per_head": float(cardinality.tails_per_head[relation]),
            "heads_per_tail": float(cardinality.heads_per_tail[relation]),
            "cardinality": cardinality.classes[relation],
            "symmetric": "yes" if redundancy.is_symmetric[relation] else "no",
            "inverse_of": inverse_of[relation],
            "duplicate_of": duplicate_of[relation],
        }
        for relation, label in enumerate(labels.relation_labels)
    ]


def _partner_labels(pairs: RelationPairs, labels: list[str]) -> list[str]:
    """Returns the labels of each relation's partners, "" if there are none."""
    partners: list[list[str]] = [[] for _ in labels]
    for one, other in pairs.tolist():
        partners[one].append(labels[other])
        partners[other].append(labels[one])
    return [BETWEEN_LABELS.join(found) for found in partners]


Summary = dict[str, Any]


def summarise(
    dataset_name: str,
    source: SourceGraph,
    splits: Splits,
    redundancy: Redundancy,
    cardinality: Cardinality,
    labels: GraphLabels,
    names: LabelledTexts,
    descriptions: LabelledTexts,
    relation_names: LabelledTexts,
    images: ImageSources,
    skipped_images: SkippedImageLines,
    numbers: Numbers,
) -> Summary:
    """Counts the content of the prepared data and the omissions."""
    num_entities, num_relations = labels.num_entities, labels.num_relations
    with_image = set(images.entity_ids)
    ends = np.concatenate([facts[:, [0, 2]] for facts in splits.facts.values()])
    train = splits.facts["train"]
    bare = [
        entity
        for entity, (name, text) in enumerate(zip(names.texts, descriptions.texts, strict=True))
        if not name and not text and entity not in with_image
    ]
    given_names = Counter(name for name in names.texts if name)
    texts = (names, descriptions, relation_names)
    return {
        "dataset": dataset_name,
        "valid_source": splits.valid_source,
        "test_source": splits.test_source,
        "entities": {
            "total": num_entities,
            "with_name": names.present,
            "with_description": descriptions.present,
            "with_image_source": len(with_image),
            "share_with_name": names.present / num_entities,
            "share_with_description": descriptions.present / num_entities,
            "share_with_image_source": len(with_image) / num_entities,
            "with_none_of_these": len(bare),
            "sharing_their_name": sum(count for count in given_names.values() if count > 1),
            "in_no_fact": num_entities - count_distinct_ids(ends),
            "without_train_fact": num_entities - count_distinct_ids(train[:, [0, 2]]),
        },
        "relations": {
            "total": num_relations,
            "with_name": relation_names.present,
            "without_train_fact": num_relations - count_distinct_ids(train[:, 1]),
            "symmetric": int(redundancy.is_symmetric.sum()),
            "inverse_pairs": len(redundancy.inverse),
            "duplicate_pairs": len(redundancy.duplicate),
            "cardinality": {name: cardinality.classes.count(name) for name in CLASSES},
        },
        "facts": {split: len(splits.facts[split]) for split in SPLITS},
        "image_sources": len(images.sources),
        "numbers": {
            "values": len(numbers.values),
            "attributes": len(numbers.attributes),
            "entities": len(np.unique(numbers.entity_ids)),
        },
        "source": {
            "lines": {split: len(lines) for split, lines in source.facts.items()},
            "duplicate_lines": splits.duplicate_lines,
            **count_leaks(source.facts, redundancy, num_entities, num_relations),
            "valid_facts_dropped": splits.valid_dropped,
            "train_facts_dropped": splits.train_dropped,
            "test_facts_dropped": splits.test_dropped,
            "valid_facts_returned_to_train": splits.valid_returned_to_train,
        },
        "leaks": count_leaks(splits.facts, redundancy, num_entities, num_relations),
        "ignored": {
            "blank_lines": source.blank_lines
            + sum(text.blank_lines for text in texts)
            + skipped_images.blank,
            "texts_of_unknown_labels": sum(len(text.unknown) for text in texts),
            "repeated_text_lines": sum(text.repeated for text in texts),
            "empty_texts": sum(len(text.empty) for text in texts),
            "images_of_unknown_entities": len(skipped_images.unknown),
            "repeated_image_lines": skipped_images.repeated,
        },
    }


def describe(summary: Summary) -> list[str]:
    """Formats the summary in a few lines."""
    entities, relations, facts = summary["entities"], summary["relations"], summary["facts"]
    lines = [
        f"{summary['dataset']}: {entities['total']} entities, {relations['total']} relations, "
        f"{facts['train']} train / {facts['valid']} valid / {facts['test']} test facts",
        f"valid {summary['valid_source']}, test {summary['test_source']}",
        f"entities with name {entities['with_name']}, description {entities['with_description']}, "
        f"image source {entities['with_image_source']}",
    ]
    if decisions := summary.get("decisions"):
        lines.append(
            f"decisions: {decisions['accepted']} accepted ({decisions['joined_train']} joined "
            f"train), {decisions['rejected']} rejected ({decisions['left_train']} left train), "
            f"{decisions['unsure']} unsure"
        )
    if not entities["with_image_source"]:
        lines.append(
            "no entity has an image: list `image` in model.modalities only with ready features "
            "(image_features.precomputed)"
        )
    if (numbers := summary.get("numbers", {"values": 0}))["values"]:
        lines.append(
            f"numbers {numbers['values']} of {numbers['attributes']} attributes and "
            f"{numbers['entities']} entities: used if model.modalities lists `numeric`"
        )
    if not entities["with_name"] + entities["with_description"]:
        lines.append(
            "no entity has a text: list `text` in model.modalities only with ready features "
            "(text_features.precomputed)"
        )
    return lines
