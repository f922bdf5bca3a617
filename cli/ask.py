"""`imf ask`: answers of the trained model to questions, and the neighbours of an entity."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cli.results import format_channel_shares, format_split, load_workspace_completer
from imf_core.base.config import load_params
from imf_core.base.device import explain_out_of_memory
from imf_core.base.errors import QuestionError
from imf_core.base.modality import UnseenInput, find_modalities
from imf_core.graph.feature_table import load_features
from imf_core.inference.answers import ASKED, Answer, Question, parse_question
from imf_core.inference.completer import Completer
from imf_core.inference.question_file import answer_file
from stages.features import feature_inputs
from stages.paths import FEATURES, PARAMS

NAMES_SHOWN = 5
LONGEST_NAME = 80
"""Characters of a name that are printed, at most."""
UNNAMED = "the new entity"
_REMEDY = "set predict.device: cpu or lower the number of questions"


class UnseenEntity(NamedTuple):
    """An entity that is not in the graph.

    Attributes:
        name: Its name, also part of its text; "" for none.
        given: Its input of each modality, at least one: a text, the path of an image.
    """

    name: str
    given: Mapping[str, str]


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
    given = {"text": description} if description else {}
    given |= {"image": str(image)} if image else {}
    for each in further or ():
        modality, _, value = each.partition("=")
        if modality not in find_modalities() or not value.strip():
            known = ", ".join(f"{known}=..." for known in find_modalities())
            raise QuestionError(f"--with must be one of {known}, got {each!r}")
        if modality in given:
            raise QuestionError(
                f"a new entity has one {modality}, got {given[modality]!r} and {value!r}"
            )
        given[modality] = value
    return UnseenEntity(name, given)


@explain_out_of_memory(_REMEDY)
def answer_question(
    words: list[str], unseen: UnseenEntity | None, count: int, with_known: bool
) -> None:
    """Prints the answers to a question.

    Args:
        words: HEAD RELATION [TAIL], without an unseen entity.
        unseen: An entity that is not in the graph, as head or tail.
        count: Number of answers.
        with_known: Whether to include answers of train.

    Raises:
        QuestionError: If the words are no question, or name unknown labels.
    """
    question = _read_question(words, unseen)
    _print_answers(_load_completer(unseen), question, count, with_known)


@explain_out_of_memory(_REMEDY)
def show_neighbours(entity: str, unseen: UnseenEntity | None, count: int) -> None:
    """Prints the entities nearest to an entity, or to an unseen one, in each channel's space."""
    completer = _load_completer(unseen)
    entity = entity if unseen is None else unseen.name or UNNAMED
    for channel, neighbours in completer.neighbours(entity, count).items():
        listed = ", ".join(f"{_shorten(each.name)} {each.cosine:.2f}" for each in neighbours)
        print(f"{channel:10}  {listed}")


@explain_out_of_memory(_REMEDY)
def answer_questions(queries: Path, out: Path, count: int, with_known: bool) -> None:
    """Answers a file of questions into a Parquet file; see `answer_file`."""
    questions, answers = answer_file(_load_completer(None), queries, out, count, with_known)
    print(f"questions: {questions:,}, answers: {answers:,}, in {out}")


def _load_completer(unseen: UnseenEntity | None) -> Completer:
    completer = load_workspace_completer()
    return completer if unseen is None else _add_unseen_entity(completer, unseen)


def _add_unseen_entity(completer: Completer, unseen: UnseenEntity) -> Completer:
    params, inputs = load_params(PARAMS), feature_inputs()
    features = {}
    for name, given in unseen.given.items():
        modality = find_modalities()[name]
        features[name] = modality.encode_unseen(
            UnseenInput(given, unseen.name, params.images),
            inputs,
            params.features(modality),
            load_features(FEATURES[name], completer.graph.fingerprint),
        )
    return completer.with_unseen_entity(unseen.name or UNNAMED, features)


def _read_question(words: list[str], entity: UnseenEntity | None) -> Question:
    """Reads HEAD RELATION [TAIL]; an unseen entity takes the place of the one left out."""
    unseen = None if entity is None else entity.name or UNNAMED
    match words:
        case [head, relation] if unseen is None:
            return parse_question(head, relation, ASKED)
        case [head, relation, tail] if unseen is None:
            return parse_question(head, relation, tail)
        case [relation] if unseen is not None:
            return parse_question(unseen, relation, ASKED)
        case ["?", relation] if unseen is not None:
            return parse_question(ASKED, relation, unseen)
    given = 'HEAD RELATION, or "?" RELATION TAIL' if unseen is None else 'RELATION, or "?" RELATION'
    raise QuestionError(f"give {given} for the head, got {' '.join(words) or 'nothing'}")


def _print_answers(completer: Completer, question: Question, count: int, with_known: bool) -> None:
    """Prints the known answers, then the answers of the model."""
    known, held_out = (
        completer.known_answers(question, splits) for splits in (("train",), ("valid", "test"))
    )
    answers = completer.ask(question, count, with_known)
    asked = (question.head or ASKED, question.relation, question.tail or ASKED)
    print(f"\n{' - '.join(map(_shorten, asked))}\n")
    if known:
        print(f"Train gives {_list(known)}")
    if held_out:
        print(f"Valid and test, from which the channels have not learned, give {_list(held_out)}")
    if known or held_out:
        more = completer.share_with_more(question)
        print(f"Of such questions with at least as many answers, {more:.0%} have a further one.")
        if completer.is_used_up(question):
            entity = question.tail if question.head is None else question.head
            relation, entity = _shorten(question.relation), _shorten(entity or ASKED)
            print(f"The relation {relation} is used up for {entity}.")
        print("The probabilities of further answers are multiplied by this share:\n")
    standings = [format_split(answer.known_in) for answer in answers]
    standing_width = max(map(len, standings), default=0)
    names = [_shorten(answer.name) for answer in answers]
    name_width = max(map(len, names), default=0)
    for answer, standing, name in zip(answers, standings, names, strict=True):
        print(
            f"  {answer.probability:.2f}  {standing:{standing_width}}  {name:{name_width}}  "
            f"{_format_shares(answer)}{_precedents(completer, question, answer)}"
            f"{_describe_used_up(question, answer)}"
        )
    if not answers:
        print("  no other entity is left to answer")


def _format_shares(answer: Answer) -> str:
    """Lists the shares in brackets; empty if no channel supports the answer."""
    shares = format_channel_shares(answer.shares)
    return f"[{shares}]" if shares else ""


def _describe_used_up(question: Question, answer: Answer) -> str:
    """Notes an answer that is used up by other facts."""
    side = "tail" if question.tail is None else "head"
    return "  used up by other facts" if answer.used_up in {side, "both"} else ""


def _list(names: Sequence[str]) -> str:
    """Returns the number of names and the first of them."""
    rest = ", ..." if len(names) > NAMES_SHOWN else ""
    return f"{len(names)}: {', '.join(map(_shorten, names[:NAMES_SHOWN]))}{rest}"


def _precedents(completer: Completer, question: Question, answer: Answer) -> str:
    """Lists entities with the same answer in train."""
    alike = completer.precedents(question, answer)
    return "  as " + ", ".join(_shorten(each.name) for each in alike) if alike else ""


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."
