"""Numbers of entities: values, lines, and the issues that they raise."""

from pathlib import Path

import numpy as np
import pytest

from imf_core.base.errors import DataError
from imf_core.graph.numbers import OddValue, load_numbers, parse_value, save_numbers
from imf_core.sources.numbers import read_numbers

HEIGHT = "height"


def write(folder: Path, lines: list[str]) -> Path:
    path = folder / "entity2number.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.78", 1.78),
        ("-3e5", -300_000.0),
        (".5", 0.5),
        ("+7", 7.0),
        ("1879", 1879.0),
        ("1879-01-01", 1879.0),
        ("1879-07", 1879.5),
        ("1879-07-00", 1879.5),
        ("1879-00-00", 1879.0),
        ("1879-07-01T12:00:00Z", 1879.5),
        ("1879-07-01+01:00", 1879.5),
        ("-0044-01", -44.0),
        ("12000-01-01", 12_000.0),
    ],
)
def test_numbers_and_dates_are_read(text: str, value: float) -> None:
    assert parse_value(text) == pytest.approx(value)


def test_later_dates_have_larger_values() -> None:
    dates = ["1879-03-14", "1879-03-15", "1879-04-01", "1879-12-31", "1880-01-01"]
    values = [parse_value(date) for date in dates]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("inf", "infinite"),
        ("-Infinity", "infinite"),
        ("NaN", "infinite"),
        ("1e999", "infinite"),
        ("0000-05-01", "year_zero"),
        ("-0000-05", "year_zero"),
        ("1,78", "unreadable"),
        ("178 cm", "unreadable"),
        ("1879-13-01", "unreadable"),
        ("1879-02-30", "unreadable"),
        ("1879-04-31", "unreadable"),
        ("1_000", "unreadable"),
        ("٣", "unreadable"),
        ("0x10", "unreadable"),
        ("14.3.1879", "unreadable"),
    ],
)
def test_odd_values_have_a_reason(text: str, reason: str) -> None:
    assert parse_value(text) == OddValue(reason)


def test_lines_become_numbers_and_issues(tmp_path: Path) -> None:
    lines = ["b\theight\t2", "a\theight\t1.5", "a\theight\t1.5", "a\tborn\t1879-07"]
    odd = ["nobody\theight\t1", "a\tborn\t0000-01", "b\tmass\tinf", "b\tmass\tmuch"]
    numbers, issues = read_numbers(write(tmp_path, lines + odd), ["a", "b"])
    assert numbers.attributes == ["born", "height"]
    assert numbers.entity_ids.tolist() == [1, 0, 0]
    assert numbers.attribute_ids.tolist() == [1, 1, 0]
    assert numbers.values.tolist() == [2.0, 1.5, 1879.5]
    assert {issue.kind: issue.examples for issue in issues} == {
        "numbers_of_unknown_labels": ("nobody height 1",),
        "infinite_numbers": ("b mass inf",),
        "year_zero_numbers": ("a born 0000-01",),
        "unreadable_numbers": ("b mass much",),
    }


def test_a_graph_without_the_file_has_no_numbers(tmp_path: Path) -> None:
    numbers, issues = read_numbers(tmp_path / "entity2number.txt", ["a"])
    assert (len(numbers.values), numbers.attributes, issues) == (0, [], [])


@pytest.mark.parametrize("line", ["a\theight", "a\t\t1", "a\theight\t1\tmetre", "a height 1"])
def test_a_line_with_other_columns_is_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: expected an entity label, an attribute"):
        read_numbers(write(tmp_path, [line]), ["a"])


def heights(metres: list[float], centimetres: list[float]) -> list[str]:
    values = metres + centimetres
    return [f"e{number}\theight\t{value}" for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("lines", "is_mixed"),
    [
        (heights([1.5, 1.6, 1.7, 1.8, 1.9], [150, 160, 170, 180, 190]), True),
        (heights([1.5, 1.6, 1.7, 1.8], [150, 160, 170, 180, 190]), False),
        (heights([10.0**power for power in range(10)], []), False),
        (heights([1.5] * 5, [150.0] * 5), True),
        (["e0\tborn\t1879-03-14", "e1\tborn\t12.5"], True),
        (["e0\tborn\t1879-03-14", "e1\tborn\t1912"], False),
    ],
)
def test_attributes_that_may_mix_units_are_reported(
    lines: list[str], is_mixed: bool, tmp_path: Path
) -> None:
    _, issues = read_numbers(write(tmp_path, lines), [f"e{number}" for number in range(20)])
    assert [issue.kind for issue in issues] == ["mixed_units"] * is_mixed


def test_numbers_are_saved_and_loaded(tmp_path: Path) -> None:
    lines = ["b\theight\t2", "a\tborn\t1879-07"]
    numbers, _ = read_numbers(write(tmp_path, lines), ["a", "b"])
    save_numbers(numbers, "f" * 64, tmp_path)
    loaded = load_numbers(tmp_path, "f" * 64)
    assert loaded.attributes == numbers.attributes
    for name in ("entity_ids", "attribute_ids", "values"):
        assert np.array_equal(getattr(loaded, name), getattr(numbers, name))
    with pytest.raises(DataError, match="belongs to another graph"):
        load_numbers(tmp_path, "0" * 64)
