"""The likely cause why a line of a text file does not have its columns, and the remedy.

In: a line that a reader cannot use and the names of its columns. Out: the end of an error message.
"""

from collections.abc import Sequence

MAX_SHOWN = 80

_SEPARATORS = {",": "commas", ";": "semicolons", "|": "vertical bars"}
_AS_TABS = "save the table as tab-separated text (TSV, in some programs 'Text (tab delimited)')"


def explain_line(line: str, columns: Sequence[str]) -> str:
    """Describes a line without its columns: its content, the likely cause and the remedy.

    Args:
        line: The line; it lacks a column or has an empty one.
        columns: Names of the columns, such as head, relation, tail.
    """
    fields = line.split("\t")
    count = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
    return f"got {count}, {shorten(line)}: {_find_cause(line, fields, columns)}"


def shorten(text: str) -> str:
    """Quotes a text for a message, cut to a readable length."""
    return repr(text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "...")


def _find_cause(line: str, fields: Sequence[str], columns: Sequence[str]) -> str:
    """Returns cause and remedy."""
    whole = line.strip()
    if len(fields) > 1:
        cause = _find_cause_with_tabs(line, fields, columns)
    elif whole[:1] in {"{", "["}:
        cause = (
            "this is JSON; write one line of tab-separated text for each object, with `jq -r "
            f"'[.{', .'.join(column.split()[-1] for column in columns)}] | @tsv'` for example, if "
            "its keys have these names"
        )
    elif whole.startswith("<") and whole.endswith("."):
        cause = (
            "this is RDF; set dataset.name: rdf and dataset.path to the file, with the ending .nt "
            "or .ttl"
        )
    elif whole.isdecimal():
        cause = (
            "a number alone is a count of the lines to come, as in OpenKE's train2id.txt, or an "
            "id; delete the line, and if the others hold ids, write the labels in their place in "
            f"the order {', '.join(columns)} (OpenKE's is head, tail, relation)"
        )
    elif found := [
        name for mark, name in _SEPARATORS.items() if line.count(mark) > len(columns) - 2
    ]:
        cause = f"the columns seem to be separated by {found[0]}; {_AS_TABS}"
    elif len(whole.split()) >= len(columns):
        cause = "the columns seem to be separated by spaces; put a tab between them"
    else:
        cause = f"there is no tab; write {_listed(columns)} with a tab between them"
    return cause


def _find_cause_with_tabs(line: str, fields: Sequence[str], columns: Sequence[str]) -> str:
    """Returns cause and remedy for a line that has tabs."""
    wanted = len(columns)
    if "\r" in line:
        return (
            "a carriage return inside the line: an old Mac's line end; save the file with the line "
            "ends of Unix (LF) throughout"
        )
    empty = [name for name, field in zip(columns, fields, strict=False) if not field.strip()]
    if empty:
        return f"there is nothing in the column {' and '.join(empty)}; fill it or delete the line"
    if len(fields) < wanted:
        missing = _listed(columns[len(fields) :])
        return f"{missing} is missing; add it after a tab or delete the line"
    return (
        f"only {_listed(columns)} are read; delete further columns, such as a time or a score, or "
        f"a tab at the line's end (`cut -f1-{wanted} OLD > NEW` keeps the first {wanted})"
    )


def _listed(names: Sequence[str]) -> str:
    """Joins names: head, relation and tail."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
