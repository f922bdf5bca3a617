"""Answers and reasons of the pretrained path network about graphs that it was not trained on."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
import torch
from tiny_world import ROOT, looped_graph, tiny_graph

import imf_core
from imf_core.base.errors import DataError, OutOfMemoryError, QuestionError
from imf_core.base.path_text import format_path
from imf_core.inference import reasons as in_words
from imf_core.inference import untrained
from imf_core.inference.example_questions import find_examples
from imf_core.inference.reasons import explain
from imf_core.inference.untrained import UntrainedCompleter
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.paths.pretrained import load_pretrained
from imf_core.paths.reasons import PathEdge, Reason

MakeFolder = Callable[..., Path]

NUM_PEOPLE, NUM_CITIES, NUM_COUNTRIES = 24, 8, 4


def born_facts() -> list[str]:
    """People born in cities of countries, each with the country's nationality but for the first."""
    people = range(NUM_PEOPLE)
    facts = [f"p{each} born c{each % NUM_CITIES}" for each in people]
    facts += [f"c{each} in n{each % NUM_COUNTRIES}" for each in range(NUM_CITIES)]
    return facts + [f"p{each} citizen n{each % NUM_COUNTRIES}" for each in people[1:]]


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    names = "p0\tAda\nc0\tLondon\nn0\tEngland\n"
    relations = "born\tborn in\ncitizen\tcitizen of\n"
    files = {"train.txt": born_facts(), "entity2name.txt": names, "relation2name.txt": relations}
    return make_folder(files)


@pytest.fixture
def network() -> PathNetwork:
    torch.manual_seed(0)
    return PathNetwork(PathSpec(4, 2, 2)).eval()


def test_an_answer_follows_by_composition_and_its_reason_says_how(folder: Path) -> None:
    model = imf_core.load_untrained(folder)
    answers = model.predict_tails("Ada", "citizen of", k=2)
    assert answers["tail_name"][0].as_py() == "England"
    first, *_ = model.reasons(answers).to_pylist()
    assert first["answer"] == 0
    assert first["text"] == (
        f"Ada - born in - London; London - in - England (weight {first['weight']:.2f})"
    )
    fact = first["facts"][0]
    assert (fact["head"], fact["relation"], fact["tail"]) == ("p0", "born", "c0")
    assert fact["known_in"] == "train"
    assert first["weight"] == min(fact["weight"] for fact in first["facts"])


def test_the_head_is_asked_for_too(folder: Path) -> None:
    model = imf_core.load_untrained(folder)
    answers = model.predict_heads("citizen of", "England", k=3)
    assert answers["head"][0].as_py() == "p0"
    assert answers["asked_for"].to_pylist() == ["head"] * 3
    assert {"p4", "p8"}.isdisjoint(answers["head"].to_pylist())


def test_known_answers_are_candidates_if_asked_for(folder: Path) -> None:
    model = imf_core.load_untrained(folder)
    assert "n1" not in model.predict_tails("p1", "citizen", k=50)["tail"].to_pylist()
    answers = model.predict_tails("p1", "citizen", k=50, with_known=True)
    known = dict(zip(answers["tail"].to_pylist(), answers["known_in"].to_pylist(), strict=True))
    assert known["n1"] == "train"
    assert set(known.values()) == {"train", "new"}
    assert sum(answers["softmax"].to_pylist()) == pytest.approx(1)


def test_a_known_answer_is_explained_by_other_facts(folder: Path) -> None:
    model = imf_core.load_untrained(folder)
    answers = model.predict_tails("p1", "citizen", k=50, with_known=True)
    for reason in model.reasons(answers).to_pylist():
        answer = answers.slice(reason["answer"], 1).to_pylist()[0]
        used = {(fact["head"], fact["relation"], fact["tail"]) for fact in reason["facts"]}
        assert ("p1", "citizen", answer["tail"]) not in used


def test_facts_of_all_splits_are_known_and_reasons_name_their_split(
    make_folder: MakeFolder,
) -> None:
    facts = born_facts()
    held = ["p0 born c0"]
    train = [fact for fact in facts if fact not in held]
    model = imf_core.load_untrained(make_folder({"train.txt": train, "valid.txt": held}))
    assert model.num_facts == len(facts)
    answers = model.predict_tails("p0", "citizen", k=1)
    (text, *_) = model.reasons(answers)["text"].to_pylist()
    assert text.startswith("p0 - born - c0 [valid]; c0 - in - n0 (")


def test_an_entity_answers_its_own_question_only_where_the_relation_has_loops(
    network: PathNetwork,
) -> None:
    for graph, expected in ((tiny_graph(), False), (looped_graph(), True)):
        model = UntrainedCompleter(graph, network)
        answers = model.predict_tails("e05", "next_to", k=100)
        assert ("e05" in answers["tail"].to_pylist()) == expected


def test_an_entity_as_its_own_answer_has_no_path(network: PathNetwork) -> None:
    graph = looped_graph()
    model = UntrainedCompleter(graph, network)
    paths = explain(network, model.path_graph, graph, torch.tensor([[5, 1, 5]]))
    assert paths.to_pylist() == [[]]


def test_answers_without_a_path_have_no_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_words, "find_reasons", lambda *_: [])
    model = imf_core.load_untrained(folder)
    found = model.reasons(model.predict_tails("Ada", "citizen of"))
    assert (len(found), found.column_names) == (0, ["answer", "weight", "text", "facts"])


def test_of_paths_weak_ones_detours_and_those_with_the_same_last_fact_are_left_out(
    monkeypatch: pytest.MonkeyPatch, network: PathNetwork
) -> None:
    def path(weight: float, *entities: int) -> Reason:
        pairs = pairwise(entities)
        return Reason(tuple(PathEdge(a, 1, b, weight) for a, b in pairs), weight)

    direct, other, weak = path(0.5, 3, 4, 5), path(0.3, 3, 6, 5), path(0.01, 3, 8, 5)
    detour, same_end = path(0.4, 3, 4, 7, 5), path(0.35, 3, 9, 4, 5)
    found = [direct, detour, same_end, other, weak]
    monkeypatch.setattr(in_words, "find_reasons", lambda *_: found)
    graph = tiny_graph()
    model = UntrainedCompleter(graph, network)
    (paths,) = explain(network, model.path_graph, graph, torch.tensor([[3, 1, 5]])).to_pylist()
    middles = [each["facts"][0]["tail"] for each in paths]
    assert middles == ["e04", "e06"]


def test_a_step_against_a_fact_is_shown_in_its_true_direction(
    monkeypatch: pytest.MonkeyPatch, network: PathNetwork
) -> None:
    step = Reason((PathEdge(3, 1 + 3, 4, 0.5),), 0.5)
    monkeypatch.setattr(in_words, "find_reasons", lambda *_: [step])
    graph = tiny_graph()
    model = UntrainedCompleter(graph, network)
    paths = explain(network, model.path_graph, graph, torch.tensor([[3, 0, 4]]))
    (fact,) = paths[0].as_py()[0]["facts"]
    assert (fact["head_name"], fact["relation_name"], fact["tail_name"]) == (
        "E04",
        "next to",
        "E03",
    )


def test_names_that_are_iris_are_shown_by_their_last_part() -> None:
    fact = {"head_name": "http://x.org/a#S%C3%A3o", "relation_name": "http://x.org/p/near/"}
    fact |= {"tail_name": "AC/DC", "known_in": "train"}
    assert format_path({"facts": [fact], "weight": 0.5}) == "São - near - AC/DC (weight 0.50)"


def show(head_name: str, tail_name: str) -> list[str]:
    fact = {"head_name": head_name, "relation_name": "r", "tail_name": tail_name}
    text = format_path({"facts": [fact | {"known_in": "train"}], "weight": 0.5})
    return text.removesuffix(" (weight 0.50)").split(" - r - ")


def test_an_encoded_line_break_or_escape_sequence_in_an_iri_forges_no_output() -> None:
    shown = show("http://x.org/a%0A%20%20%20%201%20%20%201.00%20%20forged", "http://x.org/%1B[2J")
    assert shown == ["a 1 1.00 forged", r"\x1b[2J"]
    assert show("http://x.org/%20", "urn:x:y/z") == ["http://x.org/%20", "z"]


@pytest.mark.parametrize("name", ["re:publica/2019", "urn:isbn:0451450523", "Act: A/B", "a://b"])
def test_other_names_with_a_colon_stay(name: str) -> None:
    assert show(name, "b")[0] == name


def test_no_reasons_are_computed_where_none_are_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr(in_words, "find_reasons", fail)
    model = imf_core.load_untrained(folder)
    answers = model.predict_tails("Ada", "citizen of")
    assert len(model.reasons(answers, k=0)) == 0
    with pytest.raises(QuestionError, match="at least 0, got k = -1"):
        model.reasons(answers, k=-1)


def test_numbers_of_numpy_are_whole_numbers_and_truth_values_are_none(folder: Path) -> None:
    model = imf_core.load_untrained(folder)
    answers = model.predict_tails("Ada", "citizen of", k=np.int64(2))  # type: ignore[arg-type]
    assert len(answers) == 2
    assert model.reasons(answers, k=np.int32(1)).equals(model.reasons(answers, k=1))  # type: ignore[arg-type]
    for wrong in (True, 1.0, np.bool_(True)):
        with pytest.raises(QuestionError, match="k must be a whole number"):
            model.predict_tails("Ada", "citizen of", k=wrong)  # type: ignore[arg-type]


def test_a_table_without_the_columns_of_answers_is_refused(folder: Path) -> None:
    model = imf_core.load_untrained(folder)
    answers = model.predict_tails("Ada", "citizen of").drop(["asked_for", "tail"])
    with pytest.raises(QuestionError, match=r"head, relation, tail, asked_for, .* no tail, asked"):
        model.reasons(answers)


def test_an_rdf_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "graph.nt"
    triples = [[f"<http://x.org/{word}>" for word in fact.split()] for fact in born_facts()]
    path.write_text("".join(f"{' '.join(triple)} .\n" for triple in triples))
    model = imf_core.load_untrained(str(path))
    answers = model.predict_tails("http://x.org/p0", "http://x.org/citizen", k=1)
    assert answers["tail"].to_pylist() == ["http://x.org/n0"]
    assert model.reasons(answers)["text"][0].as_py().startswith("p0 - born - c0; c0 - in - n0 (")
    assert list(tmp_path.iterdir()) == [path]


def test_images_and_descriptions_are_not_read(make_folder: MakeFolder) -> None:
    files = {
        "train.txt": born_facts(),
        "image_index.tsv": "no tab\n",
        "entity2desc.txt": "no tab\n",
    }
    assert imf_core.load_untrained(make_folder(files)).num_facts == len(born_facts())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"notes.md": "mine"}, r"train\.txt is missing"),
        ({"train.txt": ""}, r"train\.txt"),
        ({"train.txt": "a,b,c\n"}, r"train\.txt, line 1"),
    ],
)
def test_a_folder_without_facts_is_an_error(
    files: dict[str, str], message: str, make_folder: MakeFolder
) -> None:
    with pytest.raises(DataError, match=message):
        imf_core.load_untrained(make_folder(files))


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder or file .*train\.txt or an RDF"):
        imf_core.load_untrained(tmp_path / "nothing")


def test_unknown_names_and_no_answers_are_refused(network: PathNetwork) -> None:
    model = UntrainedCompleter(tiny_graph(), network)
    with pytest.raises(QuestionError, match="no entity has the label or name 'e99'; nearest are"):
        model.predict_tails("e99", "speaks")
    with pytest.raises(QuestionError, match="no relation has the label or name 'talks'"):
        model.predict_heads("talks", "e20")
    with pytest.raises(QuestionError, match="got k = 0"):
        model.predict_tails("e05", "speaks", k=0)


def test_a_graph_that_needs_more_memory_than_there_is_is_refused(
    network: PathNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    with pytest.raises(OutOfMemoryError, match=r"22 entities, 3 relations and 45 facts need about"):
        UntrainedCompleter(tiny_graph(), network)


def test_the_estimates_grow_with_the_graph_and_the_answers(network: PathNetwork) -> None:
    graph = tiny_graph()
    size, step = graph.num_entities, torch.tensor([graph.num_entities, 0, graph.num_entities])
    labels = [str(number) for number in range(2 * size)]
    doubled = {split: torch.cat([each, each + step]) for split, each in graph.triples.items()}
    larger = replace(graph, entity_labels=labels, entity_names=labels, triples=doubled)
    small, large = UntrainedCompleter(graph, network), UntrainedCompleter(larger, network)
    for count in (0, 10):
        assert large.estimate_seconds(count) > 1.3 * small.estimate_seconds(count)
    assert small.estimate_seconds(10) > 2 * small.estimate_seconds(1)
    sizes = np.array([45, 22, 3])
    for grown in sizes + np.diag(9 * sizes):
        assert untrained.estimate_bytes(network.spec, *grown) > untrained.estimate_bytes(
            network.spec, *sizes
        )


def test_examples_have_no_known_answer_and_each_another_relation(folder: Path) -> None:
    model = imf_core.load_untrained(folder)
    examples = find_examples(model, 3)
    assert examples.select(["head", "relation", "tail"]).to_pylist()[0] == {
        "head": "p0",
        "relation": "citizen",
        "tail": "n0",
    }
    assert len(set(examples["relation"].to_pylist())) == len(examples)
    assert examples.equals(find_examples(model, 3))


def test_without_plausible_questions_there_are_no_examples(make_folder: MakeFolder) -> None:
    model = UntrainedCompleter(
        untrained.read_graph(make_folder({"train.txt": ["a r b"]})), load_pretrained()
    )
    examples = find_examples(model, 3)
    assert isinstance(examples, pa.Table)
    assert len(examples) == 0


def test_the_code_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", Path("docs/paths.md").read_text(), re.DOTALL)
    exec(code, {})
