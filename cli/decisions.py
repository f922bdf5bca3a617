"""The commands `imf decide` and `imf queue`: their options, and which of them go together."""

from pathlib import Path
from typing import Annotated

import typer

from cli.command import refuse, whole_number

VERDICTS = {
    "accept": "accepted",
    "reject": "rejected",
    "unsure": "unsure",
    "withdraw": "withdrawn",
}
"""Word of the command line -> decision."""

EXAMPLES = """\
imf decide accept "Nicaragua" "member of" "OECD" --note "oecd.org/members"
imf decide reject "Nicaragua" "member of" "OECD" --by "Ada Lovelace"
imf decide withdraw "Nicaragua" "member of" "OECD"   # as if never decided
imf decide accept --file facts.tsv
"""
QUEUE_EXAMPLES = """\
imf queue
imf queue -k 100 --out queue.parquet
"""

Verdict = Annotated[str, typer.Argument(metavar="DECISION", help=", ".join(VERDICTS))]
Fact = Annotated[list[str] | None, typer.Argument(metavar="WORD", help="HEAD RELATION TAIL")]
By = Annotated[
    str | None, typer.Option(metavar="NAME", help="who decides; default: user.name of git")
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="reason or source")]
File = Annotated[
    Path | None, typer.Option(metavar="FILE", help="facts: head, relation, tail; TSV or Parquet")
]
Count = Annotated[int, typer.Option("-k", metavar="N", parser=whole_number, help="facts listed")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="the same facts, Parquet")]


def decide(
    verdict: Verdict,
    fact: Fact = None,
    by: By = None,
    note: Note = "",
    file: File = None,
) -> None:
    """Records a decision of a person about facts.

    A line is appended to the file dataset.decisions of params.yaml (`decisions.jsonl`): commit it.
    The next run reads it: accepted facts join train, rejected ones leave it and are predicted no
    more. The last decision about a fact counts. All facts of a file are decided, or none.
    """
    words = fact or []
    refuse(
        {
            f"DECISION must be one of {', '.join(VERDICTS)}, got {verdict}": (
                verdict not in VERDICTS
            ),
            f"give HEAD RELATION TAIL or --file FILE, got {' '.join(words) or 'nothing'}": (
                len(words) != (3 if file is None else 0)
            ),
            "--by must not be blank": by is not None and not by.strip(),
        }
    )
    from cli import curate  # noqa: PLC0415 - torch

    curate.decide(VERDICTS[verdict], words, by, note, file)


def queue(count: Count = 20, out: Out = None) -> None:
    """Lists the facts most worth a look.

    Three predicted new facts, then one suspicious fact of train, in turn; facts with a decision are
    left out. A new fact ranks high if its probability is near the threshold of its relation and
    many other new facts are about its head and about its tail. A fact of train ranks by its
    suspicion.
    """
    refuse(
        {
            f"-k must be a positive number, got {count}": count < 1,
            f"--out must end in .parquet, got {out}": (
                out is not None and out.suffix.lower() != ".parquet"
            ),
        }
    )
    from cli import curate  # noqa: PLC0415 - torch

    curate.show_queue(count, out)
