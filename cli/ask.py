"""`imf ask`: answers of the trained model to questions, and the neighbours of an entity."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

import imf_core
from cli.results import format_channel_shares, format_split, open_model
from imf_core.base.device import explain_out_of_memory
from imf_core.base.errors import QuestionError
from imf_core.base.modality import find_modalities
from imf_core.base.terminal import format_minutes, shorten
from imf_core.graph.decided import REJECTED
from imf_core.graph.known_tails import SETTLED
from imf_core.inference.answers import ASKED, Question, parse_question
from imf_core.inference.completer import Completer
from imf_core.inference.fact_table import NEW, read_shares
from imf_core.inference.names import MAX_COMPARED
from imf_core.inference.question_file import answer_file, read_facts
from imf_core.inference.reasons import NO_PATH
from imf_core.inference.unseen_entity import UnseenEntity
from imf_core.inference.untrained import UntrainedCompleter
from imf_core.prepare.find_issues import find_alike_labels

NAMES_SHOWN = 5

LEAST_LIKENESS = 0.8
"""Least likeness of a new name to a known one, for a hint."""

NOTICE_SECONDS = 10.0
"""A longer answer is announced."""

WITHOUT_PATHS_NEW = "A network pretrained on other graphs answers about the new entities."
WITHOUT_PATHS_KNOWN = (
    "The model has no channel of paths: the new facts count as known, and no channel reads them."
)

_REMEDY = "set predict.device: cpu or lower the number of questions"


def read_unseen(
    name: str, description: str | None, image: Path | None, further: Sequence[str] | None
) -> UnseenEntity:
    """Reads the inputs of an unseen entity.

    Args:
        name: Its name, "" for none.
        description: Its text.
        image: Path of its image.
        further: Other inputs, each as `MODALITY=INPUT`.

    Raises:
        QuestionError: If a modality is unknown or has two inputs.
    """
    inputs: dict[str, str] = {}
    for each in further or ():
        modality, _, value = each.partition("=")
        if modality in find_modalities() and not value.strip():
            raise QuestionError(f"--with {modality}=INPUT needs an input, got {each!r}")
        if modality not in find_modalities():
            known = ", ".join(f"{known}=..." for known in find_modalities())
            raise QuestionError(f"--with must be one of {known}, got {each!r}")
        is_given = {**inputs, "text": description, "image": image}.get(modality)
        if is_given:
            raise QuestionError(f"a new entity has one {modality}, got {is_given} and {value}")
        inputs[modality] = value
    description = inputs.pop("text", description)
    picture = inputs.pop("image", image)
    return UnseenEntity(
        name, description or "", Path(picture) if picture else None, other_inputs=inputs
    )


@explain_out_of_memory(_REMEDY)
def open_completer(
    model: Path | None, unseen: UnseenEntity | None, facts: Path | None
) -> Completer:
    """Opens a model, with an unseen entity and new facts.

    Args:
        model: A packed model; None for that of the last run.
        unseen: An entity that is not in the graph, None for none.
        facts: A file of facts, None for none; the unseen entities in it are printed.

    Raises:
        QuestionError: If the file or the entity is refused.
    """
    completer = open_model(model)
    entities = [] if unseen is None else [unseen]
    new_facts = [] if facts is None else read_facts(facts, completer.relations)
    if not (entities or new_facts):
        return completer
    grown = completer.with_unseen_entities(entities, new_facts)
    if facts is not None:
        _print_new_facts(completer, grown, new_facts, unseen)
    return grown


def _print_new_facts(
    before: Completer,
    grown: Completer,
    facts: Sequence[tuple[str, str, str]],
    unseen: UnseenEntity | None,
) -> None:
    """Prints how many facts are new, and the entities that the graph lacks."""
    num_new = len(grown.graph.triples["train"]) - len(before.graph.triples["train"])
    labels = grown.graph.entity_labels[before.graph.num_entities :]
    known = len(facts) - num_new
    print(
        f"new facts: {num_new:,}"
        + (f" (and {known:,} known or repeated)" if known else "")
        + (f", not in the graph: {_list(labels)}" if labels else "")
    )
    for label in labels[:NAMES_SHOWN] if len(before.entities) <= MAX_COMPARED else []:
        if near := before.entities.find_near(label, LEAST_LIKENESS):
            name = shorten(before.graph.entity_names[near[0]])
            print(f"  {shorten(label)} is taken as a new entity; the graph has {name}")
    if unseen is not None and any(unseen.label in (head, tail) for head, _, tail in facts):
        print(f"  {shorten(unseen.label)} answers by its facts; its text or image is not read")
    if before.scorer.model.paths is None:
        print(WITHOUT_PATHS_NEW if labels else WITHOUT_PATHS_KNOWN)


@explain_out_of_memory(_REMEDY)
def answer_question(
    completer: Completer,
    words: list[str],
    unseen: UnseenEntity | None,
    count: int,
    with_known: bool,
    reasons: int,
) -> None:
    """Prints the answers to a question.

    Args:
        completer: The model.
        words: HEAD RELATION [TAIL] or HEAD ? TAIL; only the latter names an unseen entity.
        unseen: An entity that is not in the graph, as head or tail.
        count: Number of answers.
        with_known: Whether to include answers of train.
        reasons: Paths per answer.

    Raises:
        QuestionError: If the words are no question, or name unknown labels.
    """
    question = _read_question(words, unseen)
    if question.relation is None:
        _print_relations(completer, question, count, with_known, reasons)
    else:
        _print_answers(completer, question, count, with_known, reasons)


@explain_out_of_memory(_REMEDY)
def show_neighbours(completer: Completer, entity: str, count: int) -> None:
    """Prints the entities nearest to an entity in each channel's space."""
    by_channel: dict[str, list[str]] = {}
    for row in completer.neighbours(entity, count).to_pylist():
        shown = f"{shorten(row['name'])} {row['cosine']:.2f}"
        by_channel.setdefault(row["channel"], []).append(shown)
    if not by_channel:
        print(f"{shorten(entity)} has no embedding: neither train facts nor a text or an image")
    for channel, shown_names in by_channel.items():
        print(f"{channel:10}  {', '.join(shown_names)}")


@explain_out_of_memory(_REMEDY)
def answer_questions(
    completer: Completer, queries: Path, out: Path, count: int, with_known: bool
) -> None:
    """Answers a file of questions into a Parquet file; see `answer_file`."""
    questions, answers = answer_file(completer, queries, out, count, with_known)
    print(f"questions: {questions:,}, answers: {answers:,}, in {out}")


@explain_out_of_memory("take a part of the graph")
def answer_untrained(
    path: Path, words: list[str], count: int, with_known: bool, reasons: int
) -> None:
    """Prints the answers of the pretrained path network about a graph, with their reasons.

    Labels that look alike are a warning, as in `imf check`.

    Args:
        path: A folder with `train.txt`, or an RDF file.
        words: HEAD RELATION [TAIL].
        count: Number of answers.
        with_known: Whether to include the graph's facts.
        reasons: Paths shown per answer.

    Raises:
        QuestionError: If the words name unknown labels.
        DataError: If the path has no graph.
    """
    completer = imf_core.load_untrained(path)
    question = _read_question(words, None)
    completer.find_query(question)  # an unknown name is an error before any work
    for issue in find_alike_labels(completer.graph):
        print(f"warning: {issue}", file=sys.stderr)
    seconds = completer.estimate_seconds(count if reasons else 0)
    if seconds > NOTICE_SECONDS:
        entities, facts = completer.graph.num_entities, completer.num_facts
        print(
            f"{entities:,} entities and {facts:,} facts: this takes about "
            f"{format_minutes(seconds)} on one core, without reasons (--reasons 0) "
            f"{format_minutes(completer.estimate_seconds(0))}",
            file=sys.stderr,
        )
    _print_title(question)
    print(
        "These answers come from a network that was not trained on this graph; train a model on it "
        f"with `imf run` (dataset.path: {path})"
    )
    if known := completer.known_answers(question):
        print(f"The graph gives {_list(known)}")
    _print_untrained(completer, completer.answer(question, count, with_known), reasons)


def group_reasons(reasons: pa.Table, count: int) -> list[list[str]]:
    """Returns the texts of the paths of each of `count` answers."""
    texts: list[list[str]] = [[] for _ in range(count)]
    for reason in reasons.to_pylist():
        texts[reason["answer"]].append(reason["text"])
    return texts


def _print_untrained(completer: UntrainedCompleter, answers: pa.Table, reasons: int) -> None:
    """Prints answers with rank, share of the softmax and reasons."""
    texts: list[list[str]] = [[] for _ in range(len(answers))]
    if reasons:
        found = group_reasons(completer.reasons(answers, reasons), len(answers))
        texts = [each or [NO_PATH] for each in found]
    print("\n  rank  softmax  answer")
    for row, answer in enumerate(answers.to_pylist()):
        known = "" if answer["known_in"] == NEW else f"  {format_split(answer['known_in'])}"
        name = shorten(completer.entities.show(answer[answer["asked_for"]]))
        print(f"  {row + 1:4}  {answer['softmax']:7.2g}  {name}{known}")
        for text in texts[row]:
            print(f"{'':17}{text}")
    if not len(answers):
        print("  no other entity is left to answer")


def _read_question(words: list[str], entity: UnseenEntity | None) -> Question:
    """Reads HEAD RELATION [TAIL]; an unseen entity takes the place of the one left out."""
    unseen = None if entity is None else entity.label
    match words:
        case [head, relation] if unseen is None:
            return parse_question(head, relation, ASKED)
        case [head, relation, tail] if unseen is None or relation == ASKED:
            return parse_question(head, relation, tail)
        case [relation] if unseen is not None:
            return parse_question(unseen, relation, ASKED)
        case ["?", relation] if unseen is not None:
            return parse_question(ASKED, relation, unseen)
    raise ValueError(f"words must have the form of `read_form`, got {words}")


def _print_answers(
    completer: Completer, question: Question, count: int, with_known: bool, reasons: int
) -> None:
    """Prints the known answers, then the answers of the model."""
    known, held_out = (
        completer.known_answers(question, splits) for splits in (("train",), ("valid", "test"))
    )
    found = completer.answer([question], count, with_known)
    paths = _find_paths(completer, found, reasons)
    answers = found.to_pylist()
    _print_title(question)
    _print_known(completer, known, held_out, completer.known_answers(question, [REJECTED]))
    if known or held_out:
        more = completer.share_with_more(question)
        print(f"Of such questions with at least as many answers, {more:.0%} have a further one.")
        if completer.is_used_up(question):
            entity = question.tail if question.head is None else question.head
            relation, entity = shorten(question.relation or ASKED), shorten(entity or ASKED)
            print(f"The relation {relation} is used up for {entity}.")
        print("The probabilities of further answers are multiplied by this share:\n")
    standings = [format_split(answer["known_in"]) for answer in answers]
    standing_width = max(map(len, standings), default=0)
    names = [shorten(completer.entities.show(each[each["asked_for"]])) for each in answers]
    name_width = max(map(len, names), default=0)
    for answer, standing, name, texts in zip(answers, standings, names, paths, strict=True):
        print(
            f"  {answer['probability']:.2f}  {standing:{standing_width}}  {name:{name_width}}  "
            f"{_format_shares(answer)}{_precedents(completer, question, answer)}"
            f"{_describe_used_up(answer)}"
        )
        for text in texts:
            print(f"        {text}")
    if not answers:
        print("  no other entity is left to answer")


def _print_relations(
    completer: Completer, question: Question, count: int, with_known: bool, reasons: int
) -> None:
    """Prints the known relations of a pair, then those of the model."""
    pair = str(question.head), str(question.tail)
    found = completer.predict_relations(*pair, len(completer.relations), with_known=True)
    splits = found["known_in"].to_pylist()
    names = list(map(shorten, found["relation_name"].to_pylist()))
    known, held_out, rejected = (
        [name for name, split in zip(names, splits, strict=True) if split in chosen]
        for chosen in (("train",), ("valid", "test"), (REJECTED,))
    )
    probable = [
        row
        for row, (split, value) in enumerate(
            zip(splits, found["affinity"].to_pylist(), strict=True)
        )
        if value > 0 and (with_known or split not in SETTLED)
    ]
    kept = probable[:count]
    shown = found.take(pa.array(kept, pa.int64()))
    paths = _find_paths(completer, shown, reasons)
    _print_title(question)
    _print_known(completer, known, held_out, rejected)
    print("The probabilities are those of the facts, times the affinity: the share of similar")
    print("entities that have the relation. They do not assume that the two are related.\n")
    widths = [max((len(names[row]) for row in kept), default=0)]
    widths.append(max((len(format_split(splits[row])) for row in kept), default=0))
    for row, answer, texts in zip(kept, shown.to_pylist(), paths, strict=True):
        print(
            f"  {answer['probability']:.2f}  {format_split(answer['known_in']):{widths[1]}}  "
            f"{names[row]:{widths[0]}}  affinity {answer['affinity']:.2f}"
        )
        for text in texts:
            print(f"        {text}")
    if not kept:
        print("  no other relation is likely: similar entities have none that could join these two")


def _find_paths(completer: Completer, answers: pa.Table, reasons: int) -> list[list[str]]:
    """Returns the paths of each answer; none if the model has no channel of paths."""
    paths = group_reasons(completer.reasons(answers, reasons), len(answers))
    if reasons and completer.scorer.model.paths is not None:
        return [each or [NO_PATH] for each in paths]
    return paths


def _print_known(
    completer: Completer, known: Sequence[str], held_out: Sequence[str], rejected: Sequence[str]
) -> None:
    """Prints the answers that the splits give, and those that people have rejected."""
    if known:
        has_new_facts = completer.graph.facts_digest != completer.config.facts_digest
        source = "Train and the new facts give" if has_new_facts else "Train gives"
        print(f"{source} {_list(known)}")
    if held_out:
        print(f"Valid and test, from which the channels have not learned, give {_list(held_out)}")
    if rejected:
        print(f"People have rejected {_list(rejected)}")


def _print_title(question: Question) -> None:
    asked = (question.head or ASKED, question.relation or ASKED, question.tail or ASKED)
    print(f"\n{' - '.join(map(shorten, asked))}\n")


def _format_shares(answer: Mapping[str, Any]) -> str:
    """Lists the shares in brackets; empty if no channel supports the answer."""
    shares = format_channel_shares(read_shares(answer))
    return f"[{shares}]" if shares else ""


def _describe_used_up(answer: Mapping[str, Any]) -> str:
    """Notes an answer that is used up by other facts."""
    is_used_up = answer["used_up"] in {answer["asked_for"], "both"}
    return "  used up by other facts" if is_used_up else ""


def _list(names: Sequence[str]) -> str:
    """Returns the number of names and the first of them."""
    rest = ", ..." if len(names) > NAMES_SHOWN else ""
    return f"{len(names)}: {', '.join(map(shorten, names[:NAMES_SHOWN]))}{rest}"


def _precedents(completer: Completer, question: Question, answer: Mapping[str, Any]) -> str:
    """Lists entities with the same answer in train."""
    names = completer.precedents(question, answer)["name"].to_pylist()
    return "  as " + ", ".join(map(shorten, names)) if names else ""
