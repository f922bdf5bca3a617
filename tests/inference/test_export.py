"""New facts and embeddings are exported completely."""

from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyoxigraph import RdfFormat, parse
from tiny_world import tiny_graph, tiny_tables

from imf_core.base.errors import QuestionError
from imf_core.inference.completer import Completer
from imf_core.inference.export import write_embeddings, write_ntriples, write_tsv
from imf_core.inference.fact_table import select_new
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel

PREFIX = "https://example.org/"


def facts(*rows: tuple[str, str, str], probability: float = 0.9) -> pa.Table:
    columns: dict[str, object] = {}
    for position, role in enumerate(("head", "relation", "tail")):
        columns[role] = [row[position] for row in rows]
        columns[f"{role}_name"] = [f"the {row[position]}" for row in rows]
    columns["probability"] = [probability] * len(rows)
    columns["known_in"] = ["new"] * len(rows)
    return pa.table(columns)


def statements(path: Path) -> list[tuple[str, str, str]]:
    found = parse(path.read_bytes(), format=RdfFormat.N_TRIPLES)
    return [(each.subject.value, each.predicate.value, each.object.value) for each in found]


def test_only_new_and_probable_facts_are_taken() -> None:
    table = pa.concat_tables([facts(("a", "r", "b"), probability=p) for p in (0.9, 0.5, 0.49)])
    known = table.set_column(
        table.column_names.index("known_in"), "known_in", pa.array(["new", "new", "new"])
    )
    assert select_new(known, 0.5)["probability"].to_pylist() == [0.9, 0.5]
    marked = table.set_column(
        table.column_names.index("known_in"), "known_in", pa.array(["test", "new", "new"])
    )
    assert select_new(marked, 0.5)["probability"].to_pylist() == [0.5]


def test_tabs_and_line_ends_do_not_break_a_line(tmp_path: Path) -> None:
    write_tsv(facts(("a\tb", "r\\s", "c\nd")), tmp_path / "new.tsv")
    header, line = (tmp_path / "new.tsv").read_text().splitlines()
    row = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    assert (row["head"], row["relation"], row["tail"]) == ("a\\tb", "r\\\\s", "c\\nd")
    assert (row["probability"], row["head_name"]) == ("0.9000", "the a\\tb")


def test_iris_stand_for_themselves_and_other_labels_get_one(tmp_path: Path) -> None:
    iri = "http://dbpedia.org/resource/Gabès"
    write_ntriples(facts((iri, "lies in", "country/TUN")), tmp_path / "new.nt", PREFIX)
    assert statements(tmp_path / "new.nt")[0] == (
        iri,
        f"{PREFIX}relation/lies%20in",
        f"{PREFIX}entity/country/TUN",
    )


@pytest.mark.parametrize(
    "label",
    [
        '<a> "b"',
        "a b\n.",
        "100%",
        "100%25",
        "é\\u0041",
        "http://a b",
        "http://a/#b#c",
        "http://a/%zz",
        "http://[a/",
        "..",
        "../../relation/r",
        "a/./b/..",
        "a\x00\x1b[31m\x85\u202e",
        "e\u0301",
        "\ufffe\ue000\U0010ffff",
        "=1+1",
        "{a}|^`",
        "/",
    ],
)
def test_any_label_and_name_comes_through(label: str, tmp_path: Path) -> None:
    write_ntriples(facts((label, "r", "b")), tmp_path / "new.nt", PREFIX)
    found = statements(tmp_path / "new.nt")
    head = found[0][0]
    assert head.startswith(f"{PREFIX}entity/")
    names = {subject: name for subject, kind, name in found[1:] if kind.endswith("#label")}
    assert names[head] == f"the {label}"
    assert unquote(head.removeprefix(f"{PREFIX}entity/")) == label
    assert not {".", ".."} & set(head.split("/"))


def test_different_labels_get_different_iris(tmp_path: Path) -> None:
    labels = ("a b", "a%20b", "a/b", "a%2Fb", "..", "%2E%2E", "e\u0301", "\u00e9")
    write_ntriples(facts(*((each, "r", "x") for each in labels)), tmp_path / "new.nt", PREFIX)
    assert len({head for head, _, tail in statements(tmp_path / "new.nt")[:8]}) == 8


@pytest.mark.parametrize(("prefix", "message"), [(None, "'a' is no IRI"), ("ex", "absolute IRI")])
def test_labels_without_an_iri_need_a_prefix(
    prefix: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(QuestionError, match=message):
        write_ntriples(facts(("a", "r", "b")), tmp_path / "new.nt", prefix)


def test_every_channel_has_a_file_of_all_entities_and_one_of_all_relations(
    trained: IMF, tmp_path: Path
) -> None:
    graph = tiny_graph()
    calibration = Calibration(slope=1.0, offset=0.0, shown=10, answers=9, true_answers=3)
    completer = Completer(graph, tiny_tables(), trained, SavedModel.model_construct(), calibration)
    paths = write_embeddings(completer, tmp_path)
    assert len(paths) == 2 * len(trained.channel_names)
    table = pq.read_table(tmp_path / "entities/visual.parquet")
    assert table["label"].to_pylist() == graph.entity_labels
    assert table["is_present"].to_pylist() == trained.channels["visual"].is_present.tolist()
    expected = completer.scorer.entities["visual"]
    assert torch.equal(torch.tensor(table["vector"].to_pylist()), expected)
    relations = pq.read_table(tmp_path / "relations/fused.parquet")
    assert relations["is_inverse"].to_pylist() == [False] * 3 + [True] * 3
    assert relations["label"].to_pylist() == graph.relation_labels * 2
