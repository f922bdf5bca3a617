"""Training states on disk."""

import errno
import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_world import small_params

from imf_core.base.errors import TrainingError
from imf_core.training import checkpoint
from imf_core.training.checkpoint import (
    DIGEST_BYTES,
    FILE_NAME,
    FINISHED,
    Checkpoints,
    find_checkpoints,
    run_key,
)

STATE = {"epoch": 3, "losses": [0.5, 0.25], "model": {"weight": torch.arange(6.0)}}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path, "a" * 32)
    checkpoints.save(STATE)
    return checkpoints


def test_a_run_without_a_state_has_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, "key").load() is None


def test_a_state_is_loaded_as_it_was_saved(checkpoints: Checkpoints) -> None:
    state = checkpoints.load()
    assert state is not None
    assert (state["epoch"], state["losses"]) == (3, [0.5, 0.25])
    assert torch.equal(state["model"]["weight"], torch.arange(6.0))


def test_the_last_state_is_kept(checkpoints: Checkpoints) -> None:
    checkpoints.save({**STATE, "epoch": 4})
    state = checkpoints.load()
    assert state is not None
    assert state["epoch"] == 4


def test_a_run_of_another_key_does_not_find_the_state(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    assert Checkpoints(tmp_path, "b" * 32).load() is None


def test_a_state_moved_to_another_run_is_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.folder.rename(tmp_path / ("b" * 32))
    with pytest.raises(TrainingError, match=r"belongs to other parameters or inputs .*delete it"):
        Checkpoints(tmp_path, "b" * 32).load()


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_state_is_named(checkpoints: Checkpoints, kept: float) -> None:
    path = checkpoints.folder / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(TrainingError, match=rf"{FILE_NAME} is damaged; delete it"):
        checkpoints.load()


def test_a_file_that_is_no_state_is_named(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / FILE_NAME).write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="is damaged; delete it to train from the start"):
        checkpoints.load()


@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.5, 0.7, 0.99])
def test_a_state_with_a_bit_flipped_anywhere_is_named(
    checkpoints: Checkpoints, place: float
) -> None:
    path = checkpoints.folder / FILE_NAME
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="is damaged; delete it"):
        checkpoints.load()


def test_bytes_after_the_end_of_a_state_are_named(checkpoints: Checkpoints) -> None:
    with (checkpoints.folder / FILE_NAME).open("ab") as file:
        file.write(b"more")
    with pytest.raises(TrainingError, match="is damaged; delete it"):
        checkpoints.load()


def test_a_file_that_holds_something_else_is_named(checkpoints: Checkpoints) -> None:
    torch.save([1, 2, 3], checkpoints.folder / FILE_NAME)
    with pytest.raises(TrainingError, match=rf"{FILE_NAME} is damaged; delete it"):
        checkpoints.load()


def test_a_state_starts_with_the_digest_of_the_rest(checkpoints: Checkpoints) -> None:
    content = (checkpoints.folder / FILE_NAME).read_bytes()
    assert content[:DIGEST_BYTES] == hashlib.sha256(content[DIGEST_BYTES:]).digest()


def test_a_cleared_state_is_gone_and_the_others_stay(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    other = Checkpoints(tmp_path, "b" * 32)
    other.save(STATE)
    checkpoints.clear()
    assert checkpoints.load() is None
    assert other.load() is not None


def test_a_state_that_a_twin_uses_stays_when_it_is_cleared(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    twin = Checkpoints(tmp_path, checkpoints.key)
    checkpoints.clear()
    assert twin.load() is not None
    twin.clear()
    assert list(tmp_path.iterdir()) == []


def finish_at(folder: Path, key: str, seconds: int) -> Checkpoints:
    """Makes the state of a run with a given end time."""
    checkpoints = Checkpoints(folder, key)
    checkpoints.save(STATE)
    checkpoints.finish()
    os.utime(folder / key / FINISHED, (seconds, seconds))
    return checkpoints


def kept_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"*/{FILE_NAME}"))


@pytest.fixture
def room_for_two(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished states are kept up to the size of two."""
    probe = finish_at(tmp_path_factory.mktemp("probe"), "key", 1)
    size = (probe.folder / FILE_NAME).stat().st_size
    monkeypatch.setattr(checkpoint, "KEPT_BYTES", int(2.5 * size))


@pytest.mark.usefixtures("room_for_two")
def test_of_finished_states_the_oldest_are_removed_first(tmp_path: Path) -> None:
    for key, seconds in (("old", 200), ("older", 100), ("new", 300)):
        finish_at(tmp_path, key, seconds)
    assert kept_in(tmp_path) == ["new", "old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


@pytest.mark.usefixtures("room_for_two")
def test_a_finished_state_in_use_is_not_removed(tmp_path: Path) -> None:
    finish_at(tmp_path, "in use", 100)
    user = Checkpoints(tmp_path, "in use")
    for key, seconds in (("old", 200), ("new", 300)):
        finish_at(tmp_path, key, seconds)
    assert kept_in(tmp_path) == ["in use", "new", "old"]
    assert user.load() is not None


@pytest.mark.usefixtures("room_for_two")
def test_a_state_of_an_unfinished_run_is_not_removed(tmp_path: Path) -> None:
    killed = Checkpoints(tmp_path, "killed")
    killed.save(STATE)
    killed.release()
    for number in range(3):
        finish_at(tmp_path, f"finished {number}", number)
    assert "killed" in kept_in(tmp_path)


@pytest.mark.usefixtures("room_for_two")
def test_a_run_that_goes_on_is_no_longer_finished(tmp_path: Path) -> None:
    finish_at(tmp_path, "goes on", 1)
    going_on = Checkpoints(tmp_path, "goes on")
    going_on.save({**STATE, "epoch": 9})
    going_on.release()  # killed
    for number in range(3):
        finish_at(tmp_path, f"finished {number}", 2 + number)
    state = Checkpoints(tmp_path, "goes on").load()
    assert state is not None
    assert state["epoch"] == 9


def test_a_state_that_another_run_removes_meanwhile_stops_nothing(tmp_path: Path) -> None:
    finish_at(tmp_path, "removed", 1)
    (tmp_path / "removed" / FILE_NAME).unlink()
    finish_at(tmp_path, "kept", 2)
    assert kept_in(tmp_path) == ["kept"]


def test_a_run_without_a_state_finishes_without_one(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "short").finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["one", "two"])
def test_the_key_depends_on_the_content_of_inputs(tmp_path: Path, content: str) -> None:
    path = tmp_path / "input"
    path.write_text("one")
    before = run_key({"a": 1}, [path])
    path.write_text(content)
    assert (run_key({"a": 1}, [path]) == before) == (content == "one")


def test_the_key_depends_on_the_parameters(tmp_path: Path) -> None:
    assert run_key({"a": 1}, []) != run_key({"a": 2}, [])


def test_the_key_depends_on_neither_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "two")]
    for path in paths:
        path.write_text(path.name)
    assert run_key({"a": 1, "b": 2}, paths) == run_key({"b": 2, "a": 1}, paths[::-1])


def key_of(folder: Path, inputs: list[Path], overrides: dict[str, object]) -> str:
    params = small_params(overrides)
    return find_checkpoints(folder, inputs, params).key


@pytest.mark.parametrize(
    ("overrides", "is_same"),
    [
        ({"train.processes": 2}, True),
        ({"train.device": "auto" if not torch.cuda.is_available() else "cpu"}, True),
        ({"evaluate.batch_size": 1}, True),
        ({"train.epochs": 9}, True),
        ({"train.patience": 9}, False),
        ({"train.relation_weight": 0.5}, False),
        ({"train.seed": 1}, False),
        ({"model.dim": 4}, False),
        ({"fusion.rank": 1}, False),
        ({"decision.shrinkage": 1.0}, False),
    ],
)
def test_states_are_found_by_what_the_weights_depend_on(
    overrides: dict[str, object], is_same: bool, tmp_path: Path
) -> None:
    assert (key_of(tmp_path, [], overrides) == key_of(tmp_path, [], {})) is is_same


def test_states_of_other_inputs_are_not_found(tmp_path: Path) -> None:
    path = tmp_path / "triples.parquet"
    path.write_text("facts")
    before = key_of(tmp_path, [path], {})
    path.write_text("other facts")
    assert key_of(tmp_path, [path], {}) != before


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("PytorchStreamWriter failed: unexpected pos 64 vs 0"),
        RuntimeError("file write failed: No space left on device"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_a_full_disk_at_a_checkpoint_is_one_error_and_the_last_state_stays(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    checkpoints.save({"epoch": 1})

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch, "save", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=512))
    with pytest.raises(OSError, match="No space left on device") as caught:
        checkpoints.save({"epoch": 2})
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(checkpoints.folder / FILE_NAME)
    state = checkpoints.load()
    assert state is not None
    assert state["epoch"] == 1
    assert [path.name for path in checkpoints.folder.iterdir()] == [FILE_NAME]
