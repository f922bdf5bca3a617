from collections.abc import Callable

import pytest
from feature_inputs import Workspace

from imf_core.base.errors import DataError
from imf_core.images import select
from imf_core.images.select import ImageList

MakeWorkspace = Callable[..., Workspace]


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_every_entity_comes_in_order_with_its_sources_as_listed(
    workspace: MakeWorkspace, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "_ENTITIES_AT_ONCE", at_once)
    place = workspace(5)
    paths = [
        place.list_sources([(4, "d"), (1, "b"), (4, "a"), (1, "http://b")], "one.parquet"),
        place.list_sources([(1, "a"), (0, "HTTPS://z")], "two.parquet"),
    ]
    images = ImageList(paths, 5, place.graph.fingerprint)
    found = [(entity.entity_id, entity.sources) for entity in images.entities()]
    assert found == [
        (0, ["HTTPS://z"]),
        (1, ["b", "http://b", "a"]),
        (2, []),
        (3, []),
        (4, ["d", "a"]),
    ]
    assert images.has_url.tolist() == [True, True, False, False, False]


def test_lists_without_a_row_leave_every_entity_without_a_source(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    images = ImageList([place.list_sources([])], 2, place.graph.fingerprint)
    assert [entity.sources for entity in images.entities()] == [[], []]


def test_an_entity_that_the_graph_does_not_have_is_an_error(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    path = place.list_sources([(2, "a")])
    with pytest.raises(DataError, match=r"entity_id must be in \[0, 2\), got 2 to 2"):
        ImageList([path], 2, place.graph.fingerprint)


def test_a_list_of_another_graph_is_refused(workspace: MakeWorkspace) -> None:
    path = workspace(2).list_sources([(0, "a")])
    with pytest.raises(DataError, match="belongs to another graph"):
        ImageList([path], 2, "f" * 64)
