"""How many names fit into one request."""

from urllib.parse import quote

from imf_core.wikimedia.api import MAX_CHARACTERS, batches, joined


def test_a_request_names_at_most_fifty() -> None:
    assert [len(group) for group in batches([f"Q{i}" for i in range(120)])] == [50, 50, 20]


def test_long_titles_make_smaller_requests() -> None:
    groups = list(batches(["東京" * 20] * 50))
    assert sum(map(len, groups)) == 50
    assert all(len(joined(group)) <= MAX_CHARACTERS for group in groups)
    assert len(groups) > 1


def test_a_name_longer_than_a_request_still_goes_alone() -> None:
    long = "東" * MAX_CHARACTERS
    assert list(batches(["a", long, "b"])) == [["a"], [long], ["b"]]


def test_names_are_joined_as_one_value() -> None:
    assert joined(["AC/DC", "A&B"]) == quote("AC/DC|A&B", safe="")


def test_no_name_is_no_request() -> None:
    assert list(batches([])) == []
