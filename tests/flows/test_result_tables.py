"""Metrics, predictions and the audit as Markdown."""

import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.pages.results_page import LONGEST_PATH, audit, metrics_table, predictions_table
from imf_core.base.artifacts import write_parquet
from imf_core.base.terminal import escape, table


def figures(mrr: float) -> dict[str, Any]:
    return {"mrr": mrr, "hits_at_1": 0.25, "hits_at_3": 0.5, "hits_at_10": 1.0, "mean_rank": 2.0}


@pytest.fixture
def metrics() -> dict[str, Any]:
    split = {**figures(0.5), "head": figures(0.4), "tail": figures(0.6), "visual": figures(0.1)}
    return {"valid": split, "test": copy.deepcopy(split)}


def rows(markdown: str) -> list[str]:
    return [line for line in markdown.splitlines() if line.startswith("| ")]


def test_metrics_without_an_earlier_run_have_no_changes(metrics: dict[str, Any]) -> None:
    told = metrics_table(None, metrics)
    assert "(" not in told
    assert rows(told)[2:6] == [
        "| visual channel alone | 10.0 | 25.0 | 50.0 | 100.0 |",
        "| **full model** | 50.0 | 25.0 | 50.0 | 100.0 |",
        "| asked for the tail | 60.0 | 25.0 | 50.0 | 100.0 |",
        "| asked for the head | 40.0 | 25.0 | 50.0 | 100.0 |",
    ]


def test_changes_of_metrics_are_signed_points(metrics: dict[str, Any]) -> None:
    before = copy.deepcopy(metrics)
    before["test"]["mrr"], before["test"]["hits_at_1"] = 0.487, 0.27
    assert "| **full model** | 50.0 (+1.3) | 25.0 (-2.0) | 50.0 |" in metrics_table(before, metrics)


def test_metrics_of_other_test_facts_have_no_changes(metrics: dict[str, Any]) -> None:
    before = copy.deepcopy(metrics) | {"test_digest": "a"}
    before["test"]["mrr"] = 0.4
    metrics["test_digest"] = "b"
    shown = metrics_table(before, metrics)
    assert "The run before had other test facts, so no change is shown." in shown
    assert "(+" not in shown
    metrics["test_digest"] = "a"
    assert "50.0 (+10.0)" in metrics_table(before, metrics)


def test_a_channel_that_is_new_has_no_change(metrics: dict[str, Any]) -> None:
    before = copy.deepcopy(metrics)
    del before["test"]["visual"]
    assert "| visual channel alone | 10.0 | 25.0 | 50.0 | 100.0 |" in metrics_table(before, metrics)


def fact(relation: str, probability: float, known_in: str = "new") -> dict[str, object]:
    return {
        "head": "a/b)",
        "head_name": "a|b",
        "relation": relation,
        "relation_name": f"is {relation}",
        "tail": "c",
        "tail_name": "<c>",
        "probability": probability,
        "known_in": known_in,
        "share_structural": 0.996,
        "share_visual": 0.004,
    }


def test_the_best_fact_of_each_relation_is_shown(tmp_path: Path) -> None:
    facts = [fact("r", 0.9), fact("r", 0.8), fact("s", 0.7, "test"), fact("t", 0.6)]
    write_parquet(tmp_path / "predictions.parquet", pa.Table.from_pylist(facts))
    assert rows(predictions_table(tmp_path / "predictions.parquet", 2))[2:] == [
        "| a\\|b – is r – \\<c\\> | 0.90 | new | structural 100% |",
        "| a\\|b – is s – \\<c\\> | 0.70 | true (test) | structural 100% |",
    ]


def test_the_entities_of_a_fact_link_their_pages_where_they_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMF_MODEL_PAGE", "http://127.0.0.1:4202")
    write_parquet(tmp_path / "predictions.parquet", pa.Table.from_pylist([fact("r", 0.9)]))
    shown = rows(predictions_table(tmp_path / "predictions.parquet", 1))[2]
    page = "http://127.0.0.1:4202/entity?label"
    assert shown.startswith(f"| [a\\|b]({page}=a%2Fb%29) – is r – [\\<c\\>]({page}=c) |")


def path(name: str) -> dict[str, Any]:
    """A path of one fact."""
    step = {"head_name": name, "relation_name": "is", "tail_name": "b", "known_in": "train"}
    return {"weight": 0.25, "facts": [step]}


def test_the_best_path_of_a_fact_is_its_last_cell(tmp_path: Path) -> None:
    facts = [
        {**fact("r", 0.9), "reasons": [path("a|![x](http://e)"), path("other")]},
        {**fact("s", 0.8), "reasons": []},
        {**fact("t", 0.7), "reasons": [path("c" * 70)] * 2},
    ]
    facts[2]["reasons"][0]["facts"] *= 4
    write_parquet(tmp_path / "predictions.parquet", pa.Table.from_pylist(facts))
    shown = predictions_table(tmp_path / "predictions.parquet", 3)
    assert rows(shown)[:2] == [
        "| Fact | Probability | Verdict | Most by channel | Because |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    cells = [row.split(" | ")[-1].removesuffix(" |") for row in rows(shown)[2:]]
    assert cells[:2] == ["a\\|\\!\\[x\\](http\\://e) - is - b (weight 0.25)", ""]
    assert len(cells[2]) == LONGEST_PATH
    assert cells[2].endswith("...")


def test_a_run_whose_facts_have_no_path_has_no_column_of_them(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "predictions.parquet",
        pa.Table.from_pylist([{**fact("r", 0.9), "reasons": []}]),
    )
    assert "Because" not in predictions_table(tmp_path / "predictions.parquet", 2)


def test_where_nothing_is_predicted_that_is_said(tmp_path: Path) -> None:
    empty = pa.Table.from_pylist([fact("r", 0.9)]).slice(0, 0)
    write_parquet(tmp_path / "predictions.parquet", empty)
    assert predictions_table(tmp_path / "predictions.parquet", 2) == "No fact is predicted."


LEAKS = ("in_train", "symmetric_copies", "inverse_copies", "duplicate_copies", "given_away")
OTHERS = ("pairs_linked_in_train", "entities_unseen_in_train", "relations_unseen_in_train")


@pytest.fixture
def data() -> dict[str, Any]:
    has = {f"with_{key}": 1 for key in ("name", "description", "image_source")}
    shares = {f"share_{key}": 0.5 for key in has}
    return {
        "issues": [],
        "dataset": "mine",
        "valid_source": "held out of train",
        "test_source": "as given",
        "entities": {"total": 2_000, **has, **shares, "with_none_of_these": 1},
        "relations": {"total": 3, "symmetric": 1, "inverse_pairs": 0, "duplicate_pairs": 0},
        "facts": {"train": 8_000, "valid": 10, "test": 20},
        "source": {
            "duplicate_lines": {"train": 0},
            **dict.fromkeys([f"{split}_facts_dropped" for split in ("train", "valid", "test")], 0),
        },
        "leaks": {f"{split}_{key}": 0 for split in ("valid", "test") for key in LEAKS + OTHERS},
        "ignored": dict.fromkeys(
            [
                "blank_lines",
                "texts_of_unknown_labels",
                "repeated_text_lines",
                "empty_texts",
                "images_of_unknown_entities",
                "repeated_image_lines",
            ],
            0,
        ),
    }


def test_a_clean_graph_is_said_to_be_clean(data: dict[str, Any]) -> None:
    told = audit(data)
    assert "**mine**: 2,000 entities, 3 relations, 8,000 train / 10 valid / 20 test facts" in told
    assert "Nothing leaks" in told
    assert "Left out: nothing." in told


def test_leaks_and_what_was_left_out_are_counted(data: dict[str, Any]) -> None:
    data["leaks"] |= {"test_symmetric_copies": 7, "test_given_away": 7}
    data["source"]["duplicate_lines"]["train"] = 1_200
    data["ignored"]["blank_lines"] = 4
    told = audit(data)
    assert "| Facts of | valid (10) | test (20) |" in told
    assert "| by a symmetric relation | 0 | 7 |\n| **given away by train in all** | 0 | 7 |" in told
    assert "Left out: 1,200 lines that repeat a fact of their split, 4 blank lines." in told


def test_data_issues_are_listed_with_their_examples_escaped(data: dict[str, Any]) -> None:
    assert "Look at these first" not in audit(data)
    data["issues"] = [
        {"kind": "x", "count": 1_200, "text": "files were <b>not</b> read", "examples": ["a|b"]},
        {"kind": "y", "count": 1, "text": "label is empty", "examples": []},
    ]
    assert audit(data).endswith(
        "Look at these first:\n\n"
        "- 1,200 files were \\<b\\>not\\</b\\> read (first: a\\|b)\n- 1 label is empty"
    )


def test_a_name_is_shown_as_it_stands_on_one_line() -> None:
    assert escape("a |\n*b* `c`") == "a \\| \\*b\\* \\`c\\`"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<script>alert(0)</script>", "\\<script\\>alert(0)\\</script\\>"),
        ("&lt;b&gt;", "\\&lt;b\\&gt;"),
        ("![x](http://evil.example/p.png)", "\\!\\[x\\](http\\://evil.example/p.png)"),
        ("WWW.evil.example me@evil.example", "WWW\\.evil.example me\\@evil.example"),
        ("- one", "\\- one"),
        ("12. one", "12\\. one"),
        ("0.5 of 1-2", "0.5 of 1-2".replace("0.", "0\\.")),
        ("\u202elive\x1b[31m", "\\\\u202elive\\\\x1b\\[31m"),
    ],
)
def test_no_name_becomes_markup_a_link_or_a_list(name: str, shown: str) -> None:
    assert escape(name) == shown


def test_a_table_has_its_first_column_to_the_left() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"
