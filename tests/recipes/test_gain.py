"""The gain of the full model: by fact, by seed and pooled."""

from pathlib import Path

import numpy as np
import pytest
from made_results import make_measurement, make_ranks

from recipes.gain import compute_gain, of_fact, update_gains
from recipes.store import Store


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
    for row in ("full", "structure"):
        store.save(make_measurement(row=row), make_ranks(2.0))
    store.save_gain("atlas", {"structure": {"seeds": [0, 1, 2]}})
    next((tmp_path / "ranks").rglob("full*.npz")).unlink()
    update_gains(store, "atlas")
    assert store.load_gain("atlas") == {"structure": {"seeds": [0, 1, 2]}}
    assert "stays as it was" in capsys.readouterr().out
