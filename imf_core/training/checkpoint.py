"""Training states on disk, so that a killed run goes on to the same result.

A state lies in a folder named by a hash of everything the result depends on; a run with other
parameters or inputs therefore never finds it. Random numbers are drawn anew from (seed, epoch) in
every epoch, so a state needs to hold none.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from imf_core.artifacts import atomic_path, file_sha256
from imf_core.config import DecisionParams, FusionParams, ModelParams, TrainParams
from imf_core.device import resolve_device
from imf_core.errors import TrainingError
from imf_core.holds import Hold

FILE_NAME = "last.pt"
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
        self._hold = Hold(self.folder)
        self.key = key

    def exists(self) -> bool:
        """Says whether there is a state to go on from."""
        return (self.folder / FILE_NAME).exists()

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the run's state atomically, without a copy of it in memory."""
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
        """Leaves the run's state to others, who may then `clear` it."""
        self._hold.release()

    def clear(self) -> None:
        """Removes the run's state once its result is saved, unless its twin goes on from there."""
        self._hold.remove()


def training_values(
    model: ModelParams, fusion: FusionParams, decision: DecisionParams, train: TrainParams
) -> dict[str, dict[str, Any]]:
    """Returns all parameters that trained weights depend on, by section.

    What trains them is left out. The number of processes changes, as that of threads does, the
    order of sums alone, and `train.device` says what is asked for rather than what there is.
    """
    return {
        "model": model.model_dump(),
        "fusion": fusion.model_dump(),
        "decision": decision.model_dump(),
        "train": train.model_dump(exclude={"device", "processes"}),
    }


def find_checkpoints(
    folder: Path,
    inputs: Iterable[Path],
    model: ModelParams,
    fusion: FusionParams,
    decision: DecisionParams,
    train: TrainParams,
) -> Checkpoints:
    """Returns the states of a training, found by everything that its weights depend on.

    The library's whole code is part of that, and the kind of device; the number of processes is
    not, so that a run that was killed may go on with fewer or more of them.

    Args:
        folder: Kept states of all runs.
        inputs: Files that graph and features are read from, and code outside the library.
        model: Section `model` of the parameters.
        fusion: Section `fusion` of the parameters.
        decision: Section `decision` of the parameters.
        train: Section `train` of the parameters.
    """
    code = Path(__file__).parents[1].rglob("*.py")
    device = resolve_device(train.device, "train.device").type
    values = {**training_values(model, fusion, decision, train), "device": device}
    return Checkpoints(folder, run_key(values, [*inputs, *code]))


def _digest_content(file: BinaryIO) -> bytes:
    """Returns the SHA-256 of what follows the digest in a file."""
    file.seek(DIGEST_BYTES)
    digest = hashlib.sha256()
    while block := file.read(READ_BYTES):
        digest.update(block)
    return digest.digest()
