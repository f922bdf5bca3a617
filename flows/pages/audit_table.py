"""The audit of the prepared data as Markdown: contents, leaks, omissions and data issues."""

from collections.abc import Mapping
from typing import Any

from imf_core.markdown import escape, table

_GIVEN_AWAY = {
    "in_train": "word for word",
    "symmetric_copies": "by a symmetric relation",
    "inverse_copies": "by an inverse relation",
    "duplicate_copies": "by a duplicate relation",
    "given_away": "**given away by train in all**",
    "pairs_linked_in_train": "pair linked in train by any relation",
    "entities_unseen_in_train": "entities without a train fact",
    "relations_unseen_in_train": "relations without a train fact",
}
_LEFT_OUT = {
    "blank_lines": "blank lines",
    "texts_of_unknown_labels": "texts of labels that no fact has",
    "repeated_text_lines": "repeated lines of texts",
    "empty_texts": "empty texts",
    "images_of_unknown_entities": "images of labels that no fact has",
    "repeated_image_lines": "repeated lines of the image index",
}

Counts = Mapping[str, Any]


def audit(data: Counts) -> str:
    """Formats the audit.

    Args:
        data: Content of `results/data.json`.

    Returns:
        Markdown.
    """
    return "\n\n".join([_describe(data), _leaks(data), _left_out(data), *_issues(data)])


def _describe(data: Counts) -> str:
    entities, relations, facts = data["entities"], data["relations"], data["facts"]
    have = ", ".join(
        f"{words} {entities[f'with_{key}']:,} ({entities[f'share_with_{key}']:.1%})"
        for key, words in (
            ("name", "a name"),
            ("description", "a description"),
            ("image_source", "an image source"),
        )
    )
    return (
        f"**{escape(data['dataset'])}**: {entities['total']:,} entities, {relations['total']:,} "
        f"relations, {facts['train']:,} train / {facts['valid']:,} valid / {facts['test']:,} test "
        f"facts. Valid is {data['valid_source']}, test {data['test_source']}.\n\n"
        f"Of the entities have {have}; none of these: {entities['with_none_of_these']:,}. Of the "
        f"relations, {relations['symmetric']:,} are symmetric; {relations['inverse_pairs']:,} "
        f"pairs are inverse, {relations['duplicate_pairs']:,} duplicate."
    )


def _leaks(data: Counts) -> str:
    """Formats the leaks from train into valid and test, as a table if there are any."""
    leaks, facts = data["leaks"], data["facts"]
    rows = [
        [words, *(f"{leaks[f'{split}_{key}']:,}" for split in ("valid", "test"))]
        for key, words in _GIVEN_AWAY.items()
        if leaks[f"valid_{key}"] or leaks[f"test_{key}"]
    ]
    if not rows:
        return "Nothing leaks: train gives away no fact of valid or test."
    titles = ["Facts of", f"valid ({facts['valid']:,})", f"test ({facts['test']:,})"]
    return table(titles, rows)


def _left_out(data: Counts) -> str:
    """Formats the counts of omitted lines and facts."""
    source = data["source"]
    counts = {
        "lines that repeat a fact of their split": sum(source["duplicate_lines"].values()),
        **{
            f"{split} facts dropped because of leaks": source[f"{split}_facts_dropped"]
            for split in ("train", "valid", "test")
        },
        **{words: data["ignored"][key] for key, words in _LEFT_OUT.items()},
    }
    omitted = ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)
    return f"Left out: {omitted or 'nothing'}."


def _issues(data: Counts) -> list[str]:
    """Lists the data issues of the input; empty if there are none."""
    lines = []
    for issue in data["issues"]:
        examples = "; ".join(map(escape, issue["examples"]))
        first = f" (first: {examples})" if examples else ""
        lines.append(f"- {issue['count']:,} {escape(issue['text'])}{first}")
    return ["Look at these first:\n\n" + "\n".join(lines)] if lines else []
