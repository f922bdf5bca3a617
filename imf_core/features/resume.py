"""Keeps the finished chunks of a long extraction, so that a killed run can continue.

The name of a run's folder is a hash of everything that the result depends on: a run with another
model, parameter or input uses another folder. Chunks are cut in the same way each time, so a
resumed run has the bytes of an uninterrupted one.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from imf_core.artifacts import write_bytes
from imf_core.errors import DataError
from imf_core.holds import SharedLock


class ChunkStore:
    """Finished chunks of one extraction: float32 arrays by number."""

    def __init__(self, root: Path, key: Mapping[str, str]) -> None:
        """Opens the folder of this extraction, which another run may use at the same time.

        Args:
            root: Folder of all extractions.
            key: Everything that the result depends on.
        """
        text = json.dumps(dict(key), sort_keys=True)
        self.folder = root / hashlib.sha256(text.encode("utf-8")).hexdigest()
        self._shared_lock = SharedLock(self.folder)

    def get(self, number: int, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns a chunk from the folder, or computes and keeps it.

        Raises:
            DataError: If a kept chunk cannot be read.
        """
        path = self._path(number)
        if path.exists():
            try:
                kept: np.ndarray = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(
                    f"{path} cannot be read ({error}); delete it and run again"
                ) from error
            return kept
        return self.keep(number, compute())

    def has(self, number: int) -> bool:
        """Returns whether a chunk is kept."""
        return self._path(number).exists()

    def keep(self, number: int, vectors: np.ndarray) -> np.ndarray:
        """Keeps a chunk and returns it as float32."""
        chunk = np.ascontiguousarray(vectors, dtype=np.float32)
        buffer = io.BytesIO()
        np.save(buffer, chunk)
        write_bytes(self._path(number), buffer.getvalue())
        return chunk

    def clear(self) -> None:
        """Removes the chunks unless another run uses them; call it after the file is written."""
        self._shared_lock.remove()

    def _path(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}.npy"
