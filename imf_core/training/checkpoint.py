"""Training states on disk, from which a killed run and a run of more epochs go on.

The name of a state's folder is a hash of everything that its weights depend on, so a run with other
parameters or inputs never finds it. The number of epochs is left out: it only bounds a run. Each
epoch draws its random numbers from (seed, epoch), so a state holds none.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch

from imf_core.base.artifacts import SharedLock, atomic_path, file_sha256, try_exclusive_lock
from imf_core.base.config import TrainingSpec
from imf_core.base.device import resolve_device
from imf_core.base.errors import TrainingError

FILE_NAME = "last.pt"
FINISHED = "finished"
"""Marks the folder of a run with a saved result; its modification time is the end of the run."""

KEPT_BYTES = 2 << 30
"""Total size of the finished runs' states that are kept for runs of more epochs."""

DIGEST_BYTES = 32
"""The file starts with the SHA-256 of what follows."""

READ_BYTES = 1 << 20
"""Bytes hashed at once."""


def run_key(params: Mapping[str, Any], inputs: Iterable[Path]) -> str:
    """Hashes parameters and the content of input files.

    Args:
        params: Everything from `params.yaml` the run depends on, as plain values.
        inputs: Files the run reads, its code among them; their names and bytes count.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    digest.update(torch.__version__.encode())
    for path in sorted(inputs):
        digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()[:32]


class Checkpoints:
    """The states of one run, and of twins with the same parameters and inputs.

    Args:
        folder: Kept states of all runs.
        key: From `run_key`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key
        self._shared_lock = SharedLock(self.folder)
        self.key = key

    def exists(self) -> bool:
        """Returns whether there is a state to continue from."""
        return (self.folder / FILE_NAME).exists()

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the run's state atomically, without a copy of it in memory."""
        (self.folder / FINISHED).unlink(missing_ok=True)
        with atomic_path(self.folder / FILE_NAME) as temporary, temporary.open("w+b") as file:
            file.write(bytes(DIGEST_BYTES))
            torch.save({"key": self.key, **state}, file)
            digest = _digest_content(file)
            file.seek(0)
            file.write(digest)

    def load(self) -> dict[str, Any] | None:
        """Returns the run's last state, None where it has none.

        Raises:
            TrainingError: If the file is damaged or belongs to a run of other parameters.
        """
        if not self.exists():
            return None
        path = self.folder / FILE_NAME
        with path.open("rb") as file:
            digest = file.read(DIGEST_BYTES)
            if _digest_content(file) != digest:
                raise TrainingError(
                    f"the checkpoint {path} is damaged; delete it to train from the start"
                )
            file.seek(DIGEST_BYTES)
            content = io.BytesIO(file.read())
        state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
        if state["key"] != self.key:
            raise TrainingError(
                f"the checkpoint {path} belongs to other parameters or inputs "
                f"({state['key']}, expected {self.key}); delete it to train from the start"
            )
        return state

    def release(self) -> None:
        """Leaves the run's state to other processes, which may then clear or finish it."""
        self._shared_lock.release()

    def clear(self) -> None:
        """Removes the run's state once its result is saved, unless its twin goes on from there."""
        self._shared_lock.remove()

    def finish(self) -> None:
        """Keeps the state of a run with a saved result, and removes the oldest finished states.

        The newest finished states are kept, up to `KEPT_BYTES`; a state in use is never removed.
        """
        if self.exists():
            (self.folder / FINISHED).touch()
        self.release()
        with try_exclusive_lock(self.folder):  # its end removes the lock's file
            pass
        kept = 0
        for _, size, folder in sorted(_finished_states(self.folder.parent), reverse=True):
            if kept + size <= KEPT_BYTES:
                kept += size
                continue
            with try_exclusive_lock(folder) as is_free:
                if is_free:
                    shutil.rmtree(folder, ignore_errors=True)


def training_values(spec: TrainingSpec) -> dict[str, dict[str, Any]]:
    """Returns all parameters that a training depends on, by section.

    The number of processes is left out, which changes the order of sums alone as the number of
    threads does, and so is `train.device`, which names a wish and not the device found.
    """
    return {
        "model": spec.model.model_dump(),
        "fusion": spec.fusion.model_dump(),
        "decision": spec.decision.model_dump(),
        "train": spec.train.model_dump(exclude={"device", "processes"}),
    }


def find_checkpoints(folder: Path, inputs: Iterable[Path], spec: TrainingSpec) -> Checkpoints:
    """Returns the states of a training, found by a hash of everything its weights depend on.

    The hash covers the library's whole code and the kind of device. It leaves the number of epochs
    out, so a run of more epochs goes on where one of fewer ended, and the number of processes, so a
    killed run may go on with fewer or more of them.

    Args:
        folder: Kept states of all runs.
        inputs: Files that graph and features are read from, and code outside the library.
        spec: Parameters of the training.
    """
    device = resolve_device(spec.train.device, "train.device").type
    values = training_values(spec)
    del values["train"]["epochs"]
    return Checkpoints(folder, run_key({**values, "device": device}, [*inputs, *code_files()]))


def code_files() -> list[Path]:
    """Returns the library's files; trained weights may depend on each of them."""
    return list(Path(__file__).parents[1].rglob("*.py"))


def _finished_states(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yields end of the run in ns, size in bytes and folder; skips folders removed meanwhile."""
    for mark in folder.glob(f"*/{FINISHED}"):
        with suppress(FileNotFoundError):
            size = (mark.parent / FILE_NAME).stat().st_size
            yield mark.stat().st_mtime_ns, size, mark.parent


def _digest_content(file: BinaryIO) -> bytes:
    """Returns the SHA-256 of what follows the digest in a file."""
    file.seek(DIGEST_BYTES)
    digest = hashlib.sha256()
    while block := file.read(READ_BYTES):
        digest.update(block)
    return digest.digest()
