from pathlib import Path

import numpy as np
import pytest

from imf_core.base.errors import DataError
from imf_core.features.shared.pretrained import ChunkStore
from imf_core.raster.reencode import map_in_order


def never() -> np.ndarray:
    raise AssertionError("computed again")


def test_a_finished_chunk_is_not_computed_again(tmp_path: Path) -> None:
    chunk = np.arange(6, dtype=np.float32).reshape(2, 3)
    ChunkStore(tmp_path, {"model": "a"}).get(0, lambda: chunk)
    again = ChunkStore(tmp_path, {"model": "a"}).get(0, never)
    assert np.array_equal(again, chunk)


def test_another_key_sees_nothing_of_it(tmp_path: Path) -> None:
    ChunkStore(tmp_path, {"model": "a"}).get(0, lambda: np.zeros(1))
    assert ChunkStore(tmp_path, {"model": "b"}).get(0, lambda: np.ones(1)) == 1


def test_a_chunk_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, {})
    with pytest.raises(AssertionError):
        store.get(0, never)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_damaged_chunk_is_an_error_that_names_it(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, {})
    store.get(0, lambda: np.zeros(3))
    next(store.folder.glob("*.npy")).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"chunk-000000\.npy cannot be read .* delete it"):
        store.get(0, never)


def test_clear_removes_the_chunks_and_may_be_repeated(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, {})
    store.get(0, lambda: np.zeros(3))
    store.clear()
    store.clear()
    assert not store.folder.exists()


def test_clear_leaves_the_chunks_to_a_run_that_uses_them_too(tmp_path: Path) -> None:
    first, twin = ChunkStore(tmp_path, {}), ChunkStore(tmp_path, {})
    first.get(0, lambda: np.zeros(3))
    first.clear()
    assert np.array_equal(twin.get(0, never), np.zeros(3))
    twin.clear()
    assert list(tmp_path.iterdir()) == []


def test_threads_give_results_in_order() -> None:
    assert list(map_in_order(lambda x: x * x, range(100), 4)) == [x * x for x in range(100)]


def test_inputs_are_taken_as_results_are_asked_for() -> None:
    taken = []

    def inputs() -> object:
        for x in range(100):
            taken.append(x)
            yield x

    next(results := map_in_order(str, inputs(), 2))
    assert len(taken) == 8
    results.close()


def test_the_first_error_in_order_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(lambda x: 1 / x, [1, 0, "two"], 2))
