"""Options of the commands: form, metavar and help of each, by its use."""

from pathlib import Path
from typing import Annotated

import typer

from cli.command import number, whole_number

Model = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="a packed model; default: that of the last run here"),
]
Untrained = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="a folder with train.txt, or an RDF file, without a model"),
]

NewFacts = Annotated[
    Path | None,
    typer.Option("--facts", metavar="FILE", help="new facts: head, relation, tail; TSV or Parquet"),
]
Reasons = Annotated[
    int,
    typer.Option(metavar="N", parser=whole_number, help="paths shown per answer"),
]

Words = Annotated[
    list[str] | None, typer.Argument(metavar="WORD", help="HEAD RELATION [TAIL], one may be ?")
]
Count = Annotated[
    int, typer.Option("-k", metavar="N", parser=whole_number, help="number of answers")
]
Known = Annotated[bool, typer.Option("--known", help="include answers of train")]
Neighbours = Annotated[bool, typer.Option("--neighbours", help="entities nearest to an entity")]
Queries = Annotated[Path | None, typer.Option(metavar="FILE", help="questions, TSV or Parquet")]
Answers = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="answers to --queries, Parquet")
]
Name = Annotated[str, typer.Option(metavar="TEXT", help="name of a new entity, part of its text")]
Description = Annotated[
    str | None, typer.Option(metavar="TEXT", help="description of a new entity")
]
Image = Annotated[Path | None, typer.Option(metavar="FILE", help="image of a new entity")]
Given = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="MODALITY=INPUT", help="other input of a new entity"),
]

Checked = Annotated[
    Path | None,
    typer.Argument(metavar="PATH", help="a folder with train.txt, an RDF file, or a file of facts"),
]
Train = Annotated[bool, typer.Option("--train", help="list facts of train that look wrong")]
Suspects = Annotated[
    int, typer.Option("-k", metavar="N", parser=whole_number, help="facts of --train listed")
]
Verdicts = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="verdicts on facts, or facts of --train, Parquet"),
]

Facts = Annotated[Path | None, typer.Option(metavar="FILE", help=".tsv or .nt")]
Accepted = Annotated[
    Path | None, typer.Option(metavar="FILE", help="facts that people have accepted, .tsv or .nt")
]
Above = Annotated[
    float | None,
    typer.Option(metavar="PROBABILITY", parser=number, help="least probability; default: 0.5"),
]
Prefix = Annotated[
    str | None, typer.Option(metavar="IRI", help="prefix of labels that are not IRIs, for .nt")
]
Folder = Annotated[Path | None, typer.Option(metavar="FOLDER")]

Host = Annotated[str, typer.Option(metavar="ADDRESS", help="address to listen on")]
Port = Annotated[int, typer.Option(metavar="PORT", parser=whole_number, help="port to listen on")]
Curate = Annotated[bool, typer.Option("--curate", help="store decisions about facts")]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="file with the token of all requests")
]

DataSets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="a registered set, or folder or rdf for the graph at dataset.path; default: all "
        "registered sets",
    ),
]

Recipe = Annotated[str, typer.Argument(metavar="NAME", help="a recipe of recipes/")]
Rows = Annotated[
    list[str] | None, typer.Option(metavar="ROW...", help="rows of the table; default: all")
]
Seeds = Annotated[
    list[int] | None, typer.Option(metavar="N...", parser=whole_number, help="default: 0 1 2")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="value on top of the recipe in every row, recorded; for data, the prepared value",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="measure stored rows again")]
