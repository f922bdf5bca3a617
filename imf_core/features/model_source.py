"""The source of a pretrained encoder: a directory, or a hub id with a pinned commit.

It does not import Transformers, so that built-in encoders start fast.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imf_core.artifacts import file_sha256
from imf_core.errors import ConfigError, ModelUnavailableError

Section = Literal["image_features", "text_features"]

BUILTIN_PREFIX = "builtin:"


@dataclass(frozen=True)
class ModelSource:
    """The source of a model.

    Attributes:
        section: The section of `params.yaml` that names the model.
        location: A directory, or a hub id.
        revision: Commit of the hub id; None for a directory.
        builtin: The built-in encoder, for error messages.
    """

    section: Section
    location: str
    revision: str | None
    builtin: str

    def provenance(self) -> dict[str, str]:
        """Returns metadata of the model, without paths of this machine."""
        if self.revision is not None:
            return {"model": self.location, "revision": self.revision}
        return {"model": "directory", "weights_sha256": self._files_sha256("*.safetensors")}

    def identity(self) -> dict[str, str]:
        """Returns everything that the model's output depends on, with the hash of a directory."""
        if self.revision is not None:
            return self.provenance()
        return {"files_sha256": self._files_sha256("*")}

    def _files_sha256(self, pattern: str) -> str:
        """Returns the hash of a single matching file, else a hash of all names and hashes."""
        files = sorted(path for path in Path(self.location).glob(pattern) if path.is_file())
        if len(files) == 1:
            return file_sha256(files[0])
        lines = "".join(f"{path.name} {file_sha256(path)}\n" for path in files)
        return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def locate_model(section: Section, model: str, revision: str | None, builtin: str) -> ModelSource:
    """Returns the source of a directory or a hub id, after checking the revision.

    Raises:
        ConfigError: If `model` is an unknown built-in, or a hub id is not pinned to a commit, or a
            directory has a revision.
        ModelUnavailableError: If `model` looks like a path and is no directory.
    """
    if model.startswith(BUILTIN_PREFIX):
        raise ConfigError(
            f"{section}.model in params.yaml: there is no {model!r}; the only built-in is "
            f"{builtin}, anything else must be a hub id or a directory"
        )
    if Path(model).is_dir():
        require_no_revision(section, model, revision)
        return ModelSource(section, model, None, builtin)
    if Path(model).is_file():
        raise ModelUnavailableError(
            f"{section}.model in params.yaml: {model!r} is a file; set the directory that holds it "
            f"with its config.json, a hub id, or {builtin}"
        )
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model):
        raise ModelUnavailableError(
            f"{section}.model in params.yaml: the directory {model!r} does not exist; set a "
            f"directory with a saved model, a hub id, or {builtin}"
        )
    if revision is None or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ConfigError(
            f"{section}.revision in params.yaml must pin the hub model {model!r} to a commit (40 "
            f"hexadecimal digits, from the model's page), got {revision!r}; the directory "
            f"{model!r} does not exist either"
        )
    return ModelSource(section, model, revision, builtin)


def require_no_workers(section: Section, model: str, ray_workers: int) -> None:
    """Refuses workers for a built-in model, which is fitted on all inputs at once.

    Raises:
        ConfigError: If workers are set.
    """
    if ray_workers:
        raise ConfigError(
            f"{section}.ray_workers in params.yaml must be 0 for {model!r}, which runs in one "
            f"process, got {ray_workers}"
        )


def require_no_revision(section: Section, model: str, revision: str | None) -> None:
    """Refuses a revision for a built-in model.

    Raises:
        ConfigError: If a revision is set.
    """
    if revision is not None:
        raise ConfigError(
            f"{section}.revision in params.yaml must be null for {model!r} (it pins hub models "
            f"only), got {revision!r}"
        )
