"""From a raw folder to the graph, its image sources and its summary."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imf_core.base.config import FOLDER, PrepareParams
from imf_core.base.errors import ConfigError, DataError
from imf_core.graph.entities import ImageSources
from imf_core.graph.issues import DataIssue, issues_of
from imf_core.prepare.prepare import Prepared, prepare_graph
from imf_core.prepare.summary import Summary, describe

MakeFolder = Callable[..., Path]
Prepare = Callable[..., Prepared]


def warnings(summary: Summary) -> list[str]:
    return [str(issue) for issue in issues_of(summary["issues"])]


@pytest.fixture
def prepare(
    make_folder: MakeFolder, prepare_params: PrepareParams, ring_facts: list[str]
) -> Prepare:
    """Prepares a folder of the ring graph with these further files."""

    def run(files: dict[str, object] | None = None) -> Prepared:
        source = make_folder({"train.txt": ring_facts, **(files or {})})
        return prepare_graph(source, FOLDER, prepare_params)

    return run


def test_ids_follow_the_sorted_labels(prepare: Prepare) -> None:
    labels = prepare().labels
    assert labels.entity_labels == [f"e{i:02}" for i in range(12)]
    assert labels.relation_labels == ["r1", "r2", "r3"]


def test_columns_of_openke_are_named_where_nothing_can_be_held_out(
    make_folder: MakeFolder, prepare_params: PrepareParams
) -> None:
    facts = [f"h{i % 9} t{i} r{i % 3}" for i in range(90)]
    folder = make_folder({"train.txt": facts})
    message = r"seem to be head, tail, relation, .*awk .*\$1, \$3, \$2.* none of the 90 train facts"
    with pytest.raises(DataError, match=message):
        prepare_graph(folder, FOLDER, prepare_params)


def test_a_small_graph_is_not_blamed_for_its_columns(
    make_folder: MakeFolder, prepare_params: PrepareParams
) -> None:
    folder = make_folder({"train.txt": ["a r b", "c r d", "e s f"]})
    with pytest.raises(DataError, match=r"^none of the 3 train facts can be held out"):
        prepare_graph(folder, FOLDER, prepare_params)


def test_every_fact_keeps_its_labels(prepare: Prepare, ring_facts: list[str]) -> None:
    prepared = prepare()
    labels, facts = prepared.labels, np.concatenate(list(prepared.facts.values())).tolist()
    found = {
        f"{labels.entity_labels[h]} {labels.relation_labels[r]} {labels.entity_labels[t]}"
        for h, r, t in facts
    }
    assert found == set(ring_facts)


def test_names_and_descriptions_stand_at_their_entity(prepare: Prepare) -> None:
    labels = prepare(
        {
            "entity2name.txt": "e01\tOne\n",
            "entity2desc.txt": "e02\tThe second.\n",
            "relation2name.txt": "r3\tthird on\n",
        }
    ).labels
    assert labels.entity_names[:3] == ["e00", "One", "e02"]
    assert labels.entity_descriptions[:3] == ["", "", "The second."]
    assert labels.relation_names == ["r1", "r2", "third on"]


def test_texts_of_unknown_labels_are_counted_and_ignored(prepare: Prepare) -> None:
    summary = prepare({"entity2name.txt": "e01\tOne\nnobody\tNobody\n"}).summary
    assert summary["ignored"]["texts_of_unknown_labels"] == 1
    assert summary["entities"]["with_name"] == 1


def test_two_entities_may_share_a_name_and_are_counted(prepare: Prepare) -> None:
    prepared = prepare({"entity2name.txt": "e01\tSame\ne02\tSame\ne03\tOther\n"})
    assert prepared.summary["entities"]["sharing_their_name"] == 2


def test_an_entity_with_two_names_is_an_error(prepare: Prepare) -> None:
    with pytest.raises(DataError, match=r"entity2name\.txt, line 2: 'e01' is given the text 'B'"):
        prepare({"entity2name.txt": "e01\tA\ne01\tB\n"})


def test_an_entity_without_anything_is_kept_and_counted(prepare: Prepare) -> None:
    files = {
        "entity2name.txt": "e01\tOne\n",
        "entity2desc.txt": "e02\tTwo.\n",
        "image_index.tsv": "e03\ta.png\n",
    }
    entities = prepare(files).summary["entities"]
    assert entities["total"] == 12
    assert entities["with_none_of_these"] == 9


def test_image_sources_keep_the_order_of_the_index(prepare: Prepare) -> None:
    index = "e05\tb.png\ne01\thttps://example.org/x\ne05\ta.png\tfurther\n"
    images = prepare({"image_index.tsv": index}).images
    assert images == ImageSources([5, 1, 5], ["b.png", "https://example.org/x", "a.png"])


def test_images_of_unknown_entities_and_repeated_lines_are_counted(prepare: Prepare) -> None:
    index = "e05\ta.png\nnobody\ta.png\ne05\ta.png\n\n"
    prepared = prepare({"image_index.tsv": index})
    assert prepared.images.sources == ["a.png"]
    ignored = prepared.summary["ignored"]
    assert ignored["images_of_unknown_entities"] == 1
    assert ignored["repeated_image_lines"] == 1
    assert ignored["blank_lines"] == 1
    assert prepared.summary["entities"]["with_image_source"] == 1


def test_a_relation_seen_only_in_test_is_counted_and_reported(prepare: Prepare) -> None:
    summary = prepare({"test.txt": ["e00 r9 e05", "e01 r1 e07"]}).summary
    assert summary["relations"]["without_train_fact"] == 1
    assert summary["leaks"]["test_relations_unseen_in_train"] == 1
    assert "1 case: relations have no train fact" in warnings(summary)


def test_facts_of_test_leave_train_where_the_split_is_to_be_leak_free(
    prepare: Prepare, ring_facts: list[str]
) -> None:
    prepared = prepare({"test.txt": [*ring_facts[:3], "e00 r1 e05"]})
    assert len(prepared.facts["test"]) == 4
    assert prepared.summary["leaks"]["test_in_train"] == 0
    assert warnings(prepared.summary)[0].startswith("3 train facts are also in test")


def test_a_leaking_official_test_is_left_as_given_and_reported_loudly(
    make_folder: MakeFolder, prepare_params: PrepareParams, ring_facts: list[str]
) -> None:
    source = make_folder({"train.txt": ring_facts, "test.txt": [*ring_facts[:3], "e00 r1 e05"]})
    official = prepare_params.model_copy(update={"split": "official"})
    prepared = prepare_graph(source, FOLDER, official)
    assert len(prepared.facts["test"]) == 4
    assert prepared.summary["leaks"]["test_in_train"] == 3
    assert warnings(prepared.summary)[0].startswith(
        "3 of 4 test facts LEAK (75.0%), as train gives them away: 3 word for word, 0 by a "
    )


@pytest.fixture
def redundant(ring_facts: list[str]) -> dict[str, list[str]]:
    """The ring with a symmetric, an inverse and a duplicate relation, whose copies are in test."""
    both = [f"e{i:02} sym e{i + 6:02}" for i in range(6)]
    both += [f"e{i + 6:02} sym e{i:02}" for i in range(6)]
    inverse = [f"e{(i + 1) % 12:02} inv e{i:02}" for i in range(12)]
    duplicate = [f"e{i:02} dup e{(i + 2) % 12:02}" for i in range(12)]
    return {
        "train.txt": [*ring_facts, *both[1:], *inverse[1:], *duplicate[2:]],
        "valid.txt": ["e00 r1 e09"],
        "test.txt": ["e00 r1 e08", both[0], inverse[0], *duplicate[:2]],
    }


def test_copies_of_an_as_given_test_are_counted_and_reported_loudly(
    prepare: Prepare, redundant: dict[str, list[str]]
) -> None:
    prepared = prepare(redundant)
    relations, leaks = prepared.summary["relations"], prepared.summary["leaks"]
    assert (relations["symmetric"], relations["inverse_pairs"], relations["duplicate_pairs"]) == (
        1,
        1,
        1,
    )
    assert leaks["test_symmetric_copies"] == leaks["test_inverse_copies"] == 1
    assert leaks["test_duplicate_copies"] == 2
    assert prepared.summary["source"]["test_given_away"] == leaks["test_given_away"] == 4
    assert len(prepared.facts["test"]) == 5
    assert warnings(prepared.summary)[0] == (
        "4 of 5 test facts LEAK (80.0%), as train gives them away: 0 word for word, 1 by a "
        "symmetric relation, 1 by an inverse one, 2 by a duplicate one; test is left as given "
        "(prepare.test: as-given) and its metrics flatter whoever copies; cleaned drops these"
    )


def test_a_cleaned_test_has_no_leak_left_and_says_what_went(
    make_folder: MakeFolder, prepare_params: PrepareParams, redundant: dict[str, list[str]]
) -> None:
    cleaned = prepare_params.model_copy(update={"test": "cleaned"})
    prepared = prepare_graph(make_folder(redundant), FOLDER, cleaned)
    assert len(prepared.facts["test"]) == 1
    assert prepared.summary["test_source"] == "as given, cleaned"
    assert prepared.summary["leaks"]["test_given_away"] == 0
    assert prepared.summary["source"]["test_given_away"] == 4
    assert prepared.summary["source"]["test_facts_dropped"] == 4
    assert warnings(prepared.summary)[0] == (
        "4 test facts are given away by train: dropped from test (prepare.test: cleaned)"
    )


def test_relations_are_redundant_in_all_splits_together_not_in_train_alone(
    prepare: Prepare, redundant: dict[str, list[str]]
) -> None:
    # Without these, only 4 of the 8 facts that train has of `sym` have their reverse there.
    moved = {"e08 sym e02", "e09 sym e03", "e10 sym e04"}
    train = [row for row in redundant["train.txt"] if row not in moved]
    prepared = prepare(
        {**redundant, "train.txt": train, "test.txt": [*redundant["test.txt"], *sorted(moved)]}
    )
    assert prepared.summary["relations"]["symmetric"] == 1
    assert prepared.summary["leaks"]["test_symmetric_copies"] == 4


def test_every_relation_has_a_row_with_its_class(
    prepare: Prepare, redundant: dict[str, list[str]]
) -> None:
    prepared = prepare(redundant)
    rows = {row["relation"]: row for row in prepared.relation_rows}
    assert list(rows) == prepared.labels.relation_labels
    assert rows["inv"]["inverse_of"] == "r1"
    assert rows["dup"]["duplicate_of"] == "r2"
    assert rows["sym"]["symmetric"] == "yes"
    assert {row["cardinality"] for row in rows.values()} == {"1-1"}
    assert prepared.summary["relations"]["cardinality"] == {"1-1": 6, "1-n": 0, "n-1": 0, "n-n": 0}


def test_media_coverage_is_told_as_a_share(prepare: Prepare) -> None:
    files = {"entity2name.txt": "e01\tA\ne02\tB\ne03\tC\n", "image_index.tsv": "e03\ta.png\n"}
    entities = prepare(files).summary["entities"]
    assert entities["share_with_name"] == 0.25
    assert entities["share_with_description"] == 0
    assert entities["share_with_image_source"] == 1 / 12


def test_a_contaminated_valid_is_reported_with_what_was_done(
    prepare: Prepare, ring_facts: list[str]
) -> None:
    summary = prepare({"valid.txt": ring_facts[:3]}).summary
    assert summary["source"]["valid_in_train"] == 3
    assert (
        "3 of 3 valid lines (100.0%) are in train (3) or test (0): a new valid is held"
        in (warnings(summary)[0])
    )


def test_a_contaminated_official_valid_is_reported_as_kept(
    make_folder: MakeFolder, prepare_params: PrepareParams, ring_facts: list[str]
) -> None:
    source = make_folder({"train.txt": ring_facts, "valid.txt": ring_facts[:3]})
    official = prepare_params.model_copy(update={"split": "official"})
    summary = prepare_graph(source, FOLDER, official).summary
    assert "left as given (prepare.split: official)" in warnings(summary)[0]


def test_duplicate_lines_are_dropped_and_reported(prepare: Prepare, ring_facts: list[str]) -> None:
    summary = prepare({"train.txt": [*ring_facts, *ring_facts[:4]]}).summary
    assert sum(summary["facts"].values()) == len(ring_facts)
    assert warnings(summary) == [
        "4 lines repeat a fact of their split: dropped (first: 'e00' 'r1' 'e01'; "
        "'e00' 'r2' 'e02'; 'e00' 'r3' 'e03'; 'e01' 'r1' 'e02')"
    ]


def test_a_clean_graph_has_no_issue(prepare: Prepare) -> None:
    assert warnings(prepare().summary) == []


def test_the_summary_is_worded_in_three_lines(prepare: Prepare) -> None:
    files = {"image_index.tsv": "e05\ta.png\n", "entity2name.txt": "e05\tFive\n"}
    lines = describe(prepare(files).summary)
    assert len(lines) == 3
    assert lines[0].startswith("folder: 12 entities, 3 relations, ")


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_graph_without_a_modality_is_told_to_leave_it_out(
    modality: str, prepare: Prepare
) -> None:
    lines = describe(prepare().summary)
    assert any(
        f"list `{modality}` in model.modalities only with ready features" in line for line in lines
    )


def test_the_summary_holds_only_what_json_holds(prepare: Prepare) -> None:
    summary = prepare().summary
    assert json.loads(json.dumps(summary)) == summary


def issue_of(summary: Summary, kind: str) -> DataIssue:
    (issue,) = [each for each in issues_of(summary["issues"]) if each.kind == kind]
    return issue


@pytest.mark.parametrize("twin", ["e01 ", "e01\u200b", "\uff4501"])
def test_entities_that_look_alike_stay_apart_and_are_shown(prepare: Prepare, twin: str) -> None:
    prepared = prepare({"test.txt": f"{twin}\tr1\te05\n"})
    assert prepared.labels.num_entities == 13
    issue = issue_of(prepared.summary, "entity_labels_alike")
    assert (issue.count, issue.examples) == (1, (f"'e01' and {twin!a}",))


def test_relations_that_look_alike_stay_apart_and_are_shown(prepare: Prepare) -> None:
    prepared = prepare({"test.txt": "e00\tr1\u00a0\te05\n"})
    assert prepared.labels.num_relations == 4
    assert issue_of(prepared.summary, "relation_labels_alike").examples == (r"'r1' and 'r1\xa0'",)


def test_texts_of_nobody_are_shown_with_the_label_that_they_look_like(prepare: Prepare) -> None:
    files = {
        "entity2name.txt": "e01 \tOne\nnobody\tNobody\n",
        "entity2desc.txt": "e1\tThe first.\n",
        "relation2name.txt": "r9\tninth\n",
    }
    assert issue_of(prepare(files).summary, "texts_of_unknown_labels").examples == (
        "name of 'e01 ', which looks like 'e01'",
        "name of 'nobody'",
        "description of 'e1'",
        "name of a relation of 'r9'",
    )


def test_images_of_nobody_empty_texts_and_shared_names_are_shown(prepare: Prepare) -> None:
    files = {
        "image_index.tsv": "nobody\ta.png\n",
        "entity2name.txt": "e01\tSame\ne02\tSame\ne03\t\n",
    }
    summary = prepare(files).summary
    assert issue_of(summary, "images_of_unknown_entities").examples == ("'nobody'",)
    assert issue_of(summary, "empty_texts").examples == ("name of 'e03'",)
    assert issue_of(summary, "shared_names").examples == ("'Same': 'e01', 'e02'",)


def test_the_issues_of_download_are_among_those_of_the_summary(prepare: Prepare) -> None:
    issue = DataIssue("unread_files", 2, "files were not read", ("a", "b"))
    summary = prepare({"issues.json": json.dumps([issue.as_row()])}).summary
    assert issues_of(summary["issues"]) == [issue]


@pytest.mark.parametrize("more", [[], ["e00 r1 e05"]])
def test_a_test_that_holds_every_train_fact_is_an_error_that_says_so(
    prepare: Prepare, ring_facts: list[str], more: list[str]
) -> None:
    held = "every fact of train" if more else "the same facts as train"
    with pytest.raises(DataError, match=rf"test holds {held} \(36 train facts"):
        prepare({"test.txt": [*ring_facts[::-1], *more]})


def test_a_test_that_leaves_too_few_train_facts_is_named_as_the_cause(
    prepare: Prepare, ring_facts: list[str]
) -> None:
    with pytest.raises(DataError, match=r"none of the 2 train facts that test does not hold \(34"):
        prepare({"test.txt": ring_facts[2:]})


@pytest.mark.parametrize(
    ("splits", "cause"),
    [
        ({"valid.txt": slice(None)}, "the files of train and valid hold the same facts"),
        ({"valid.txt": slice(3)}, "train holds each of them"),
        ({"test.txt": slice(3)}, "train holds each of them"),
    ],
)
def test_a_split_inside_another_one_is_named_as_the_cause(
    prepare: Prepare, ring_facts: list[str], splits: dict[str, slice], cause: str
) -> None:
    files = {name: ring_facts[part] for name, part in splits.items()}
    assert cause in issue_of(prepare(files).summary, "split_in_split").text


def test_a_valid_that_is_the_test_is_named_as_the_cause(prepare: Prepare) -> None:
    facts = ["e00 r1 e05", "e01 r2 e06"]
    issue = issue_of(prepare({"valid.txt": facts, "test.txt": facts}).summary, "split_in_split")
    assert (issue.count, "the files of test and valid hold the same" in issue.text) == (2, True)


@pytest.mark.parametrize("name", ["train.txt", "valid.txt", "test.txt"])
def test_an_empty_split_file_is_refused(prepare: Prepare, name: str) -> None:
    with pytest.raises(DataError, match=rf"{name} is empty"):
        prepare({name: ""})


def test_an_unknown_data_set_is_refused(tmp_path: Path, prepare_params: PrepareParams) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.name must be one of"):
        prepare_graph(tmp_path, "nothing", prepare_params)


def test_counts_other_than_the_registered_ones_are_refused(
    make_folder: MakeFolder, prepare_params: PrepareParams, ring_facts: list[str]
) -> None:
    source = make_folder({"train.txt": ring_facts})
    with pytest.raises(DataError, match=r"entities: expected 14, found 12; .*valid lines.*found 0"):
        prepare_graph(source, "nations", prepare_params)


@pytest.mark.slow
def test_ids_and_splits_do_not_depend_on_the_hash_seed(
    make_folder: MakeFolder, ring_facts: list[str]
) -> None:
    source = make_folder({"train.txt": ring_facts})
    code = (
        "import sys; from pathlib import Path; from imf_core.base.config import PrepareParams\n"
        "from imf_core.prepare.prepare import prepare_graph\n"
        "params = PrepareParams(split='leak-free', test='as-given', valid_fraction=.1,"
        " test_fraction=.1, seed=0)\n"
        "prepared = prepare_graph(Path(sys.argv[1]), 'folder', params)\n"
        "facts = [part.tolist() for part in prepared.facts.values()]\n"
        "print(prepared.labels.entity_labels, facts)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(source)],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1


def test_the_column_order_head_tail_relation_is_reported(
    make_folder: MakeFolder, prepare_params: PrepareParams
) -> None:
    swapped = [f"e{i:02} e{(i + step) % 12:02} r{step}" for i in range(12) for step in range(1, 8)]
    summary = prepare_graph(make_folder({"train.txt": swapped}), FOLDER, prepare_params).summary
    assert any("the columns must be head, relation, tail" in each for each in warnings(summary))


@pytest.mark.slow
def test_the_stage_prepare_does_not_import_torch() -> None:
    code = "import sys, stages.prepare; print('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
