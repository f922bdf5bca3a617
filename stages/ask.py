"""Asks the trained model. Not a stage.

    python -m stages.ask "Nicaragua" "member of"             # what is it a member of?
    python -m stages.ask "?" "member of" "NATO"              # who is a member of it?
    python -m stages.ask "Nicaragua" --neighbours            # what is like it?
    python -m stages.ask --queries questions.tsv --out answers.parquet

Name entities and relations by label or name. The probability is that the answer is right. It
assumes that a question without known answers has one; if answers are known, it is multiplied by the
share of such questions that have a further one. A relation is used up for an entity if most have
none. The shares in brackets are those of the channels in the answer; `as` lists entities with the
same answer in train, nearest first in the space of the channel with the largest share.

For an entity that is not in the graph, give a description, an image or both in place of its name:

    python -m stages.ask --description "An island state in the Caribbean." "currency"

A file of questions is TSV (head, relation, tail, with ? for the missing entity) or Parquet with
columns of these names.
"""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from imf_core.base.device import explain_out_of_memory
from imf_core.base.errors import QuestionError
from imf_core.inference.answers import ASKED, Answer, Question, parse_question
from imf_core.inference.completer import Completer
from imf_core.inference.question_file import answer_file
from stages.runner import run_stage
from stages.wording import (
    UNNAMED,
    add_unseen_entity,
    format_channel_shares,
    format_split,
    load_workspace_completer,
    shorten,
)

NAMES_SHOWN = 5


def main() -> None:
    """Prints answers or neighbours, or answers a file of questions."""
    parser = _parser()
    chosen = parser.parse_args()
    _refuse_conflicting_options(parser, chosen)
    own = None
    if chosen.description or chosen.image:
        own = chosen.name or UNNAMED
    question = None
    if chosen.queries is None and not chosen.neighbours:
        question = _read_question(chosen.question, own)
    with explain_out_of_memory("set predict.device: cpu or lower the number of questions"):
        completer = load_workspace_completer()
        if own is not None:
            completer = add_unseen_entity(
                completer, chosen.name, chosen.description or "", chosen.image
            )
        if question is not None:
            _print_answers(completer, question, chosen.count, chosen.known)
        elif chosen.neighbours:
            _print_neighbours(completer, own or chosen.question[0], chosen.count)
        else:
            questions, answers = answer_file(
                completer, chosen.queries, chosen.out, chosen.count, chosen.known
            )
            print(f"{questions} questions, {answers} answers in {chosen.out}")


def _refuse_conflicting_options(
    parser: argparse.ArgumentParser, chosen: argparse.Namespace
) -> None:
    """Ends the process if an option would be ignored."""
    words, is_unseen = chosen.question, bool(chosen.description or chosen.image)
    if chosen.description == "":
        parser.error("--description must not be empty")
    if chosen.name and not is_unseen:
        parser.error("--name requires --description or --image")
    if chosen.out is not None and chosen.queries is None:
        parser.error("--out requires --queries")
    if chosen.known and chosen.neighbours:
        parser.error("--neighbours does not take --known")
    if chosen.neighbours and len(words) != (0 if is_unseen else 1):
        parser.error("--neighbours takes one entity, or the description or image of a new one")
    if chosen.queries is not None:
        if chosen.out is None or words or is_unseen or chosen.neighbours:
            parser.error("--queries requires --out and takes only -k and --known beside it")
        if chosen.out.suffix.lower() != ".parquet":
            parser.error(f"--out must end in .parquet, got {chosen.out}")
        if chosen.out.resolve() == chosen.queries.resolve():
            parser.error(f"--out {chosen.out} is the same file as --queries")


def _parser() -> argparse.ArgumentParser:
    """Describes the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("question", nargs="*", metavar="WORD", help="HEAD RELATION [TAIL]")
    parser.add_argument("-k", dest="count", type=_count, default=10, help="number of answers (10)")
    parser.add_argument("--known", action="store_true", help="include answers of train")
    parser.add_argument("--neighbours", action="store_true", help="entities nearest to an entity")
    parser.add_argument("--queries", type=Path, metavar="FILE", help="questions, TSV or Parquet")
    parser.add_argument("--out", type=Path, metavar="FILE", help="answers to --queries, Parquet")
    parser.add_argument("--name", default="", help="name of a new entity, part of its text")
    parser.add_argument("--description", help="description of a new entity")
    parser.add_argument("--image", type=Path, metavar="FILE", help="image of a new entity")
    return parser


def _read_question(words: list[str], unseen: str | None) -> Question:
    """Reads HEAD RELATION [TAIL]; an unseen entity takes the place of the one left out."""
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
    print(f"\n{' - '.join(map(shorten, asked))}\n")
    if known:
        print(f"Train gives {_list(known)}")
    if held_out:
        print(f"Valid and test, from which the channels have not learned, give {_list(held_out)}")
    if known or held_out:
        more = completer.share_with_more(question)
        print(f"Of such questions with at least as many answers, {more:.0%} have a further one.")
        if completer.is_used_up(question):
            entity = question.tail if question.head is None else question.head
            relation, entity = shorten(question.relation), shorten(entity or ASKED)
            print(f"The relation {relation} is used up for {entity}.")
        print("The probabilities of further answers are multiplied by this share:\n")
    standings = [format_split(answer.known_in) for answer in answers]
    standing_width = max(map(len, standings), default=0)
    names = [shorten(answer.name) for answer in answers]
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
    return f"{len(names)}: {', '.join(map(shorten, names[:NAMES_SHOWN]))}{rest}"


def _print_neighbours(completer: Completer, entity: str, count: int) -> None:
    """Prints the nearest entities in the space of each channel."""
    for channel, neighbours in completer.neighbours(entity, count).items():
        listed = ", ".join(f"{shorten(each.name)} {each.cosine:.2f}" for each in neighbours)
        print(f"{channel:10}  {listed}")


def _precedents(completer: Completer, question: Question, answer: Answer) -> str:
    """Lists entities with the same answer in train."""
    alike = completer.precedents(question, answer)
    return "  as " + ", ".join(shorten(each.name) for each in alike) if alike else ""


def _count(text: str) -> int:
    """Parses the number of answers."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return int(text)


if __name__ == "__main__":
    # A closed pipe (`| head`) ends the command silently.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    run_stage(main)
