"""Questions to a trained model by labels or names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_world import LONELY, every_query, looped_graph, small_params, tiny_model

from imf_core.base.errors import DataError, QuestionError
from imf_core.graph.feature_table import FeatureTable, save_features
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.graph.labels import save_graph
from imf_core.inference.answers import Question
from imf_core.inference.completer import Completer
from imf_core.inference.fact_table import read_shares
from imf_core.inference.model_folder import load_completer
from imf_core.inference.unseen_entity import UnseenEntity
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import CALIBRATION, save_calibration, save_model
from imf_core.model.scorer import Scorer

Tables = dict[str, FeatureTable]

SPEAKS = Question("e05", "speaks", None)
SPOKEN = Question(None, "speaks", "e19")


@pytest.fixture
def folder(tmp_path: Path, graph: Graph, tables: Tables, trained: IMF) -> Path:
    """A trained model with its graph and features, as the stages write them."""
    params = small_params()
    save_graph(graph, graph.facts, tmp_path / "graph")
    for name, table in tables.items():
        save_features(table, graph.fingerprint, tmp_path / f"{name}.parquet")
    save_model(trained, tmp_path / "model", graph, tables, params, {})
    calibration = Calibration(slope=0.5, offset=-0.2, shown=10, answers=9, true_answers=3)
    save_calibration(calibration, tmp_path / "model")
    return tmp_path


def load(folder: Path) -> Completer:
    paths = {name: folder / f"{name}.parquet" for name in ("image", "text")}
    return load_completer(folder / "graph", folder / "model", paths)


@pytest.fixture
def completer(folder: Path) -> Completer:
    return load(folder)


@pytest.fixture
def looped(folder: Path, tables: Tables) -> Completer:
    """A completer for a graph with a loop of `next_to` in train."""
    graph, params = looped_graph(), small_params()
    save_graph(graph, graph.facts, folder / "graph")
    model = tiny_model(graph=graph)
    save_model(model, folder / "model", graph, tables, params, {})
    return load(folder)


def ask(
    completer: Completer, question: Question, k: int = 10, with_known: bool = False
) -> list[SimpleNamespace]:
    """Answers a question by rows, with label, name and shares of each answer."""
    rows = completer.answer([question], k, with_known).to_pylist()
    return [
        SimpleNamespace(
            **row,
            label=row[row["asked_for"]],
            name=row[f"{row['asked_for']}_name"],
            shares=read_shares(row),
        )
        for row in rows
    ]


def with_features(completer: Completer, features: dict[str, torch.Tensor]) -> Completer:
    return completer.with_unseen_entities([UnseenEntity("new", features=features)])


def answers_itself(completer: Completer, entity: str, relation: str) -> list[bool]:
    """Returns for both directions whether an entity is an answer to a question about itself."""
    everyone = completer.graph.num_entities
    questions = Question(entity, relation, None), Question(None, relation, entity)
    answers = [ask(completer, question, everyone, True) for question in questions]
    return [entity in {each.label for each in found} for found in answers]


def train_tails(graph: Graph, head: str, relation: int) -> set[str]:
    query = torch.tensor([[graph.entity_labels.index(head), relation]])
    _, tails = known_tails_in(graph, ["train"]).lookup(query)
    return {graph.entity_labels[tail] for tail in tails.tolist()}


def test_the_best_answers_come_first_and_train_gives_none_of_them(
    completer: Completer, graph: Graph
) -> None:
    answers = ask(completer, SPEAKS, 5)
    probabilities = [answer.probability for answer in answers]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(answers) == 5
    assert not {answer.label for answer in answers} & train_tails(graph, "e05", 2)
    assert "train" not in {answer.known_in for answer in answers}


@pytest.mark.parametrize("relation", ["in", "next_to", "speaks"])
def test_no_entity_answers_a_question_about_itself_where_train_has_no_loop(
    relation: str, completer: Completer
) -> None:
    assert answers_itself(completer, "e05", relation) == [False, False]


def test_an_entity_may_answer_a_question_about_itself_where_train_has_a_loop(
    looped: Completer,
) -> None:
    assert answers_itself(looped, "e05", "next_to") == [True, True]
    assert answers_itself(looped, "e05", "speaks") == [False, False]


def test_an_unseen_entity_is_no_answer_where_train_has_a_loop(
    looped: Completer, tables: Tables
) -> None:
    extended = with_features(looped, {"text": tables["text"].vectors[5]})
    assert answers_itself(extended, "new", "next_to") == [False, False]
    assert answers_itself(extended, "e05", "next_to") == [True, True]


def test_labels_and_names_ask_the_same(completer: Completer) -> None:
    assert ask(completer, Question("E05", "SPEAKS", None)) == ask(completer, SPEAKS)


def test_known_answers_are_marked_where_they_are_asked_for(completer: Completer) -> None:
    everyone = completer.graph.num_entities
    without, together = (ask(completer, SPOKEN, everyone, known) for known in (False, True))
    known = [answer for answer in together if answer.known_in == "train"]
    names = completer.known_answers(SPOKEN)
    assert [answer for answer in together if answer.known_in != "train"] == without
    assert {answer.name for answer in known} == set(names) != set()
    assert ask(completer, SPOKEN, 3, True) == together[:3]


def test_held_out_answers_are_marked_by_their_split(completer: Completer, graph: Graph) -> None:
    head, relation, tail = graph.triples["test"][0].tolist()
    labels = graph.entity_labels
    question = Question(labels[head], graph.relation_labels[relation], None)
    found = {answer.label: answer.known_in for answer in ask(completer, question, 99)}
    assert found[labels[tail]] == "test"


def test_both_directions_are_asked(completer: Completer, graph: Graph) -> None:
    query = completer.find_query(SPOKEN)
    assert query == (graph.entity_labels.index("e19"), 2 + graph.num_relations)
    assert completer.find_query(SPEAKS) == (graph.entity_labels.index("e05"), 2)


@pytest.mark.parametrize("parts", [("e05", "e19"), (None, None)])
def test_exactly_one_end_is_asked_for(
    parts: tuple[str | None, str | None], completer: Completer
) -> None:
    with pytest.raises(QuestionError, match=r"exactly one of them must be '\?'"):
        ask(completer, Question(parts[0], "speaks", parts[1]))


def test_many_questions_are_answered_as_one_by_one(completer: Completer) -> None:
    table = completer.answer([SPEAKS, SPOKEN], 4).to_pylist()
    for number, question in enumerate((SPEAKS, SPOKEN)):
        role = "tail" if question.tail is None else "head"
        rows = [row for row in table if row["question"] == number]
        alone = ask(completer, question, 4)
        assert [row[role] for row in rows] == [answer.label for answer in alone]
        assert [row["probability"] for row in rows] == pytest.approx(
            [answer.probability for answer in alone]
        )


def test_shares_sum_to_one(completer: Completer) -> None:
    best = ask(completer, SPEAKS, 1)[0]
    assert set(best.shares) == set(completer.scorer.channel_names)
    assert sum(best.shares.values()) == pytest.approx(1)


def test_neighbours_are_the_nearest_that_have_the_modality(completer: Completer) -> None:
    found = completer.neighbours("e05", 3)
    vectors = completer.scorer.entities["textual"]
    cosines = torch.nn.functional.cosine_similarity(vectors, vectors[5:6])
    cosines[~completer.scorer.model.channels["textual"].is_present] = -2
    cosines[5] = -2
    assert [row["label"] for row in found.to_pylist() if row["channel"] == "textual"] == [
        completer.graph.entity_labels[number] for number in cosines.topk(3).indices
    ]
    lonely = completer.neighbours(completer.graph.entity_labels[LONELY])
    assert set(lonely["channel"].to_pylist()) == {"structural", "fused"}


def test_precedents_are_entities_of_which_train_says_the_same(
    completer: Completer, graph: Graph
) -> None:
    answer = next(each for each in ask(completer, SPEAKS, 99) if each.label == "e19")
    found = completer.precedents(SPEAKS, vars(answer))["label"].to_pylist()
    assert found
    for label in found:
        assert "e19" in train_tails(graph, label, 2)


def test_a_model_without_its_calibration_is_refused(folder: Path) -> None:
    (folder / "model" / CALIBRATION).unlink()
    with pytest.raises(DataError, match=rf"{CALIBRATION} is missing; run `dvc repro`"):
        load(folder)


def test_an_unseen_entity_with_the_features_of_another_is_near_to_it(
    completer: Completer, tables: Tables
) -> None:
    features = {name: table.vectors[5] for name, table in tables.items()}
    rows = with_features(completer, features).neighbours("new", 1).to_pylist()
    found = {row["channel"]: (row["label"], row["cosine"]) for row in rows}
    assert set(found) == {"visual", "textual", "fused"}
    for channel in ("visual", "textual"):
        assert found[channel] == ("e05", pytest.approx(1))


def test_the_structural_channel_takes_no_part_for_an_unseen_entity(
    completer: Completer, tables: Tables
) -> None:
    extended = with_features(completer, {"text": tables["text"].vectors[5]})
    for relation in extended.graph.relation_labels:
        for answer in ask(extended, Question("new", relation, None), 3):
            assert (answer.shares["structural"], answer.shares["visual"]) == (0, 0)


def test_an_unseen_entity_is_asked_about_from_both_sides_and_is_no_answer(
    completer: Completer, tables: Tables
) -> None:
    extended = with_features(completer, {"image": tables["image"].vectors[5]})
    for question in (Question("new", "next_to", None), Question(None, "next_to", "new")):
        found = ask(extended, question, 99)
        assert len(found) == completer.graph.num_entities
        assert "new" not in {answer.label for answer in found}


def test_an_unseen_entity_changes_nothing_for_the_others(
    completer: Completer, tables: Tables
) -> None:
    extended = with_features(completer, {"text": tables["text"].vectors[5]})
    for name, before in completer.scorer.entities.items():
        torch.testing.assert_close(extended.scorer.entities[name][:-1], before)
    model = extended.scorer.model
    after = Scorer(model).score_all_tails(every_query()).log_probs[:, :, :-1].log_softmax(dim=2)
    before = completer.scorer.score_all_tails(every_query()).log_probs.log_softmax(dim=2)
    torch.testing.assert_close(after, before)
    assert "new" not in {each.label for each in ask(extended, SPOKEN, 99)}


@pytest.mark.parametrize(
    ("name", "features", "message"),
    [
        ("E05", {"text": torch.ones(6)}, "the graph has 'E05' already"),
        ("new", {}, "but 'new' has no input"),
        ("new", {"text": torch.ones(5)}, r"text features of 'new' must be 6 finite numbers"),
        ("new", {"text": torch.full((6,), torch.nan)}, r"'new' must be 6 finite numbers"),
    ],
)
def test_an_unseen_entity_with_a_known_name_or_without_features_is_refused(
    name: str, features: dict[str, torch.Tensor], message: str, completer: Completer
) -> None:
    with pytest.raises(QuestionError, match=message):
        completer.with_unseen_entities([UnseenEntity(name, features=features)])


def test_test_facts_change_an_answer_by_its_further_share_alone(
    folder: Path, completer: Completer, graph: Graph
) -> None:
    less = replace(graph, triples={**graph.triples, "test": graph.triples["test"][:0]})
    save_graph(less, less.facts, folder / "graph")
    found = [ask(each, SPEAKS, 99) for each in (completer, load(folder))]
    first, second = ({a.label: a.probability / a.further for a in answers} for answers in found)
    assert first == pytest.approx(second)


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_answer_or_neighbour_cannot_be_asked_for(
    count: int, completer: Completer
) -> None:
    with pytest.raises(QuestionError, match="at least one question must be given"):
        completer.answer([])
    with pytest.raises(QuestionError, match=f"at least one answer .* k = {count}"):
        ask(completer, SPEAKS, count)
    with pytest.raises(QuestionError, match=f"at least one neighbour .* k = {count}"):
        completer.neighbours("e05", count)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.predict_tails(3, "speaks"), "the entity must be a label .*, got 3"),
        (lambda model: model.predict_tails("e05", 4), "the relation must be a label .*, got 4"),
        (lambda model: model.score([(1, 2, 3)]), r"triples must be a list of .*got \(1, 2, 3\)"),
        (lambda model: model.neighbours(b"e05"), "the entity must be a label or name, got b'e05'"),
        (lambda model: model.encode(text=5), "text must be a text or a list of texts, got 5"),
        (lambda model: model.encode(["a", 5]), "text must be a text or a list of texts, got 5"),
        (lambda model: model.encode(image=3), "image must be a path or a list of paths, got 3"),
        (lambda model: model.with_unseen_entities("x"), "must be an UnseenEntity, got 'x'"),
        (lambda _: UnseenEntity("a", 4), "description of an unseen entity must be a text, got 4"),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_type_is_named(
    ask: Callable[[Completer], object], message: str, completer: Completer
) -> None:
    with pytest.raises(QuestionError, match=message):
        ask(completer)


def test_a_question_that_no_split_answers_is_not_used_up(
    completer: Completer, graph: Graph
) -> None:
    open_question = Question("e00", "speaks", None)
    assert completer.known_answers(open_question, ("train", "valid", "test")) == []
    assert completer.share_with_more(open_question) == 1
    assert not completer.is_used_up(open_question)


def test_a_question_with_its_one_answer_is_used_up(completer: Completer, graph: Graph) -> None:
    head, relation, _ = graph.triples["train"][0].tolist()
    question = Question(graph.entity_labels[head], graph.relation_labels[relation], None)
    share = completer.share_with_more(question)
    assert 0 < share < 0.5
    assert completer.is_used_up(question)
    answers = ask(completer, question, 99)
    assert {answer.used_up for answer in answers if answer.known_in == "new"} <= {"head", "both"}
    assert max(answer.further for answer in answers if answer.known_in == "new") <= share
    assert max(answer.probability for answer in answers if answer.known_in == "new") <= share


def test_an_answer_that_is_used_up_stands_below_the_others(completer: Completer) -> None:
    # Each country is next to one, so that the one before it is used up.
    answers = ask(completer, Question("e00", "next to", None), 99)
    used_up = {answer.label for answer in answers if answer.used_up == "tail"}
    assert used_up
    for answer in answers:
        assert (answer.further < 0.5) == (answer.label in used_up)
    best = ask(completer, Question("e00", "next to", None), 3)
    assert best == answers[:3]


def test_a_known_answer_keeps_its_probability(completer: Completer) -> None:
    known = [each for each in ask(completer, SPOKEN, 99, True) if each.known_in == "train"]
    assert {(answer.further, answer.used_up) for answer in known} == {(1.0, "none")}
