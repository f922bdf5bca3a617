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
from typing import Any

import torch

from imf_core.artifacts import file_sha256, write_bytes
from imf_core.errors import TrainingError
from imf_core.holds import Hold

FILE_NAME = "last.pt"
DIGEST_BYTES = 32
"""The file starts with the SHA-256 of what follows."""


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
        """Replaces the run's state atomically."""
        buffer = io.BytesIO()
        torch.save({"key": self.key, **state}, buffer)
        content = buffer.getvalue()
        write_bytes(self.folder / FILE_NAME, hashlib.sha256(content).digest() + content)

    def load(self) -> dict[str, Any] | None:
        """Returns the run's last state, None where it has none.

        Raises:
            TrainingError: If the file is damaged or belongs to a run of other parameters.
        """
        if not self.exists():
            return None
        path = self.folder / FILE_NAME
        raw = path.read_bytes()
        digest, content = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            raise TrainingError(
                f"the checkpoint {path} is damaged; delete it to train from the start"
            )
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
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
