"""Where a pretrained encoder comes from: a directory, or a hub id with the commit it is pinned to.

Knows nothing of Transformers, so that a built-in encoder need not wait for its import.
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
    """Where a model is loaded from.

    Attributes:
        section: The section of `params.yaml` that names it.
        location: A directory, or a hub id.
        revision: Commit of the hub id; None for a directory.
        builtin: The encoder that needs no model, to be named in errors.
    """

    section: Section
    location: str
    revision: str | None
    builtin: str

    def provenance(self) -> dict[str, str]:
        """Says what the model is, without any path of this machine."""
        if self.revision is not None:
            return {"model": self.location, "revision": self.revision}
        return {"model": "directory", "weights_sha256": self._files_sha256("*.safetensors")}

    def identity(self) -> dict[str, str]:
        """Everything about the model that its output depends on: all files of a directory."""
        if self.revision is not None:
            return self.provenance()
        return {"files_sha256": self._files_sha256("*")}

    def _files_sha256(self, pattern: str) -> str:
        """One hash over the matching files: a single file's own, else of all names and hashes."""
        files = sorted(path for path in Path(self.location).glob(pattern) if path.is_file())
        if len(files) == 1:
            return file_sha256(files[0])
        lines = "".join(f"{path.name} {file_sha256(path)}\n" for path in files)
        return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def locate_model(section: Section, model: str, revision: str | None, builtin: str) -> ModelSource:
    """Decides whether `model` is a directory or a hub id, and checks the revision.

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
    """Refuses workers where there is nothing to share out: a built-in model is fitted on all.

    Raises:
        ConfigError: If there are any.
    """
    if ray_workers:
        raise ConfigError(
            f"{section}.ray_workers in params.yaml must be 0 for {model!r}, which runs in one "
            f"process, got {ray_workers}"
        )


def require_no_revision(section: Section, model: str, revision: str | None) -> None:
    """Refuses a revision where it would say nothing.

    Raises:
        ConfigError: If there is one.
    """
    if revision is not None:
        raise ConfigError(
            f"{section}.revision in params.yaml must be null for {model!r} (it pins hub models "
            f"only), got {revision!r}"
        )
