"""The gain of the full model: by fact, by seed and pooled."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_results import make_measurement, make_ranks

from recipes.recipe import list_recipes
from recipes.store import RESULTS, Store, compute_gain, load_current_gains, of_fact, update_gains

GAIN: dict[str, Any] = {
    "seeds": [0],
    "by_seed": [{"gain": 0.1, "low": 0.0, "high": 0.2}],
    "pooled": {"gain": 0.1, "low": 0.0, "high": 0.2},
}


def save_without_ranks(store: Store, full: float, structure: float) -> None:
    """Stores two rows measured on another machine."""
    for row, mrr in (("full", full), ("structure", structure)):
        store.save(make_measurement(row=row, mrr=mrr), make_ranks(2.0))
    shutil.rmtree(store.ranks)


def test_both_directions_of_a_fact_are_one_number() -> None:
    full = np.array([1.0, 0.5, 0.5, 0.25], dtype=np.float32)  # two facts: tails, then heads
    other = np.array([0.5, 0.5, 0.5, 1.0], dtype=np.float32)
    assert of_fact(full, other).tolist() == [0.25, -0.375]


def test_pooled_is_the_mean_over_the_seeds_fact_by_fact() -> None:
    gain = compute_gain([0, 1], [np.array([0.2, 0.4]), np.array([0.0, -0.2])])
    assert [each["gain"] for each in gain["by_seed"]] == pytest.approx([0.3, -0.1])
    assert gain["pooled"]["gain"] == pytest.approx(0.1)
    assert gain["pooled"]["low"] == pytest.approx(0.1)


def test_seeds_that_both_rows_have_count_and_others_do_not(tmp_path: Path) -> None:
    store = Store(tmp_path / "results", tmp_path / "ranks")
    for row, seed, rank in [("full", 0, 1.0), ("full", 1, 1.0), ("structure", 0, 2.0)]:
        store.save(make_measurement(row=row, seed=seed), make_ranks(rank))
    update_gains(store, "atlas")
    gain = store.load_gain("atlas")
    assert list(gain) == ["structure"]
    assert gain["structure"]["seeds"] == [0]
    assert gain["structure"]["pooled"]["gain"] == pytest.approx(0.5)


def test_a_gain_stays_where_the_ranks_of_a_seed_are_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "results", tmp_path / "ranks")
    save_without_ranks(store, full=0.5, structure=0.4)
    store.save_gain("atlas", {"structure": GAIN})
    update_gains(store, "atlas")
    assert store.load_gain("atlas") == {"structure": GAIN}
    assert "over structure is kept" in capsys.readouterr().out


def test_a_gain_is_removed_where_a_row_was_measured_again_without_the_other_ranks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "results", tmp_path / "ranks")
    save_without_ranks(store, full=0.50002, structure=0.4)
    store.save_gain("atlas", {"structure": GAIN})
    update_gains(store, "atlas")
    assert store.load_gain("atlas") == {}
    assert "over structure is left out, since the ranks" in capsys.readouterr().out


def test_gains_go_with_the_measurements_they_are_of(tmp_path: Path) -> None:
    store = Store(tmp_path / "results", tmp_path / "ranks")
    store.save_gain("atlas", {"structure": GAIN, "two-structures": GAIN})
    update_gains(store, "atlas")
    assert store.load_gain("atlas") == {}


def test_a_gain_of_a_seed_that_a_row_lacks_is_not_current(tmp_path: Path) -> None:
    store = Store(tmp_path / "results", tmp_path / "ranks")
    save_without_ranks(store, full=0.5, structure=0.4)
    both = {"seeds": [0, 1], "by_seed": GAIN["by_seed"] * 2}
    store.save_gain("atlas", {"structure": both})
    assert load_current_gains(store, "atlas") == {}


@pytest.mark.parametrize("dataset", list_recipes())
def test_the_stored_gains_match_the_stored_measurements(dataset: str) -> None:
    store = Store(RESULTS, RESULTS / "none")
    assert load_current_gains(store, dataset) == store.load_gain(dataset)
