"""Differences between two graphs, and their Markdown."""

import pyarrow as pa
import pytest

from flows.pages.refresh_report import Snapshot, compare, describe_changes

Facts = list[tuple[str, str, str]]
BASE: Facts = [("a", "r", "b"), ("b", "r", "c")]


def snapshot(
    facts: Facts,
    descriptions: dict[str, str] | None = None,
    images: dict[str, str] | None = None,
) -> Snapshot:
    """A graph of these facts, whose entities have upper-case names."""
    entities = sorted({fact[side] for fact in facts for side in (0, 2)})
    relations = sorted({fact[1] for fact in facts})
    columns = list(zip(*facts, strict=True))
    return Snapshot(
        pa.table(dict(zip(("head", "relation", "tail"), map(list, columns), strict=True))),
        pa.table(
            {
                "label": entities,
                "name": [label.upper() for label in entities],
                "description": [(descriptions or {}).get(label, "") for label in entities],
                "images": [(images or {}).get(label, "") for label in entities],
            }
        ),
        pa.table({"label": relations, "name": [label.upper() for label in relations]}),
    )


def counts(before: Snapshot, after: Snapshot) -> dict[str, tuple[int, ...]]:
    """Counts additions, removals and changes by kind, if there are any."""
    found = {}
    for change in compare(before, after):
        some = (change.came, change.went, change.changed)
        if change.is_any:
            found[change.kind] = tuple(each.count for each in some if each)
    return found


def test_the_same_graph_has_no_changes_and_that_is_said() -> None:
    changes = compare(snapshot(BASE), snapshot(BASE[::-1]))
    assert not any(change.is_any for change in changes)
    assert describe_changes(changes).startswith("Nothing changed in the graph")


def test_facts_entities_and_relations_come_and_go() -> None:
    after = [BASE[0], ("a", "s", "d"), ("d", "s", "a")]
    assert counts(snapshot(BASE), snapshot(after)) == {
        "facts": (2, 1),
        "entities": (1, 1),
        "relations": (1, 0),
    }


@pytest.mark.parametrize("kind", ["descriptions", "images"])
def test_media_come_go_and_change_with_entities_that_stay(kind: str) -> None:
    before = snapshot([*BASE, ("gone", "r", "a")], **{kind: {"a": "1", "b": "2", "gone": "3"}})
    after = snapshot([*BASE, ("new", "r", "a")], **{kind: {"b": "4", "c": "5", "new": "6"}})
    assert counts(before, after)[kind] == (1, 1, 1)


def test_examples_are_named_and_the_others_counted() -> None:
    facts = [("a", "r", f"x|{number}") for number in range(7)]
    told = describe_changes(compare(snapshot(BASE), snapshot([*BASE, *facts])))
    assert "| facts | 7 | 0 |  |" in told
    assert "Facts that came:\n\n- A – R – X\\|0\n- A – R – X\\|1\n" in told
    assert "- A – R – X\\|4\n- and 2 more" in told
    assert "Facts that went" not in told
