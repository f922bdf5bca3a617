"""The command `imf ask`: its options, and which of them go together; `cli.ask` answers."""

from cli import options
from cli.command import read_form, refuse

EXAMPLES = """\
imf ask "Nicaragua" "member of"           # what is it a member of?
imf ask "?" "member of" "NATO"            # who is a member of it?
imf ask "Nicaragua" "?" "Costa Rica"      # how are the two related?
imf ask "Nicaragua" --neighbours          # what is like it?
imf ask --queries questions.tsv --out answers.parquet
imf ask --model FOLDER "Nicaragua" "member of"   # in any folder
imf ask --untrained examples/solar-system "Io" "orbits"   # a graph nobody trained on
imf ask --facts new.tsv "Newland" "borders"      # an entity that the graph lacks
imf ask --description "An island state in the Caribbean." "currency"
"""


def ask(
    question: options.Words = None,
    count: options.Count = 10,
    known: options.Known = False,
    neighbours: options.Neighbours = False,
    queries: options.Queries = None,
    out: options.Answers = None,
    name: options.Name = "",
    description: options.Description = None,
    image: options.Image = None,
    given: options.Given = None,
    model: options.Model = None,
    untrained: options.Untrained = None,
    facts: options.NewFacts = None,
    reasons: options.Reasons = 1,
) -> None:
    """Asks the trained model.

    Name entities and relations by label or name. The probability assumes that a question without
    known answers has one; if answers are known, it is multiplied by the share of such questions
    that have a further one. A relation is used up for an entity if most have none. The shares in
    brackets are those of the channels in the answer; `as` lists entities with the same answer in
    train, nearest first in the space of the channel with the largest share.

    For an entity that is not in the graph, give a description, an image or another input (`--with
    "numeric=height 1.78; born 1879"`) in place of its name.
    `--facts FILE` adds facts (head, relation, tail; TSV or Parquet) without training; entities that
    the graph lacks may be asked about, and answer, by them. A line below an answer is a path of
    facts that leads to it, with its weight.
    A file of questions is TSV or Parquet: head, relation, tail, with ? for the missing part; all
    ask for entities, or all for relations. The probability of a relation is multiplied by its
    affinity, the share of similar entities that have it.
    `--untrained` answers without a model, with reasons: a pretrained network reads the graph.
    """
    words, is_file = question or [], queries is not None
    is_unseen = bool(description or image or given)
    form, is_question = read_form(words, is_unseen=is_unseen)
    refuse(
        {
            f"-k must be a positive number, got {count}": count < 1,
            f"--reasons must be a number from 0 on, got {reasons}": reasons < 0,
            "--description must not be empty": description == "",
            "--name requires --description, --image or --with": bool(name) and not is_unseen,
            "--facts requires --name beside --description, --image and --with": (
                facts is not None and is_unseen and not name
            ),
            "--out requires --queries": out is not None and not is_file,
            "--neighbours does not take --known": known and neighbours,
            f"give {form}, got {' '.join(words) or 'nothing'}": not (
                is_file or neighbours or is_question
            ),
            f'head or tail must be the new entity, --name {name or "NAME"}, in HEAD "?" TAIL': (
                is_unseen and len(words) == 3 and (not name or name not in words)
            ),
            "--neighbours takes one entity, or the input of a new one": (
                neighbours and len(words) != (0 if is_unseen else 1)
            ),
            "--queries requires --out FILE.parquet for the answers": is_file and out is None,
            "--queries takes only --out, -k, --known, --facts and --model beside it": (
                is_file and (bool(words) or is_unseen or neighbours)
            ),
            "--untrained takes a question, -k, --known and --reasons": bool(
                untrained and (is_file or neighbours or is_unseen or model or facts)
            ),
            'HEAD "?" TAIL needs a trained model: `imf run` trains one; leave out --untrained': (
                untrained is not None and len(words) == 3 and words[1] == "?"
            ),
            f"--out must end in .parquet, got {out}": (
                out is not None and out.suffix.lower() != ".parquet"
            ),
            f"--out {out} is the same file as --queries": (
                out is not None and queries is not None and out.resolve() == queries.resolve()
            ),
        }
    )
    from cli import ask as asking  # noqa: PLC0415 - torch

    unseen = asking.read_unseen(name, description, image, given) if is_unseen else None
    if untrained is not None:
        asking.answer_untrained(untrained, words, count, known, reasons)
        return
    completer = asking.open_completer(model, unseen, facts)
    if queries is not None and out is not None:
        asking.answer_questions(completer, queries, out, count, known)
    elif neighbours:
        asking.show_neighbours(completer, unseen.label if unseen else words[0], count)
    else:
        asking.answer_question(completer, words, unseen, count, known, reasons)
