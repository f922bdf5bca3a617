"""Training states on disk, so that a killed run goes on to the same result.

A state lies in a folder named by a hash of everything the result depends on; a run with other
parameters or inputs therefore never finds it. Random numbers are drawn anew from (seed, epoch) in
every epoch, so a state needs to hold none.
"""

import hashlib
import json
import pickle
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from imf_core.artifacts import atomic_path, file_sha256
from imf_core.errors import TrainingError

FILE_NAME = "last.pt"


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
    """The states of one run.

    Args:
        folder: Kept states of all runs.
        key: From `run_key`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key
        self.key = key

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the run's state atomically."""
        with atomic_path(self.folder / FILE_NAME) as temporary:
            torch.save({"key": self.key, **state}, temporary)

    def load(self) -> dict[str, Any] | None:
        """Returns the run's last state, None where it has none.

        Raises:
            TrainingError: If the file is damaged or belongs to a run of other parameters.
        """
        path = self.folder / FILE_NAME
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise TrainingError(
                f"the checkpoint {path} is damaged; delete it to train from the start"
            ) from error
        if state.get("key") != self.key:
            raise TrainingError(
                f"the checkpoint {path} belongs to other parameters or inputs "
                f"({state.get('key')}, expected {self.key}); delete it to train from the start"
            )
        return state

    def clear(self) -> None:
        """Removes the run's state once its result is saved."""
        shutil.rmtree(self.folder, ignore_errors=True)
