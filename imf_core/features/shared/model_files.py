"""The source of a pretrained model, a directory or a pinned hub id, and the check of its files.

A model's files come from others: code among them is never run, and pickled weights, which can hold
code, are never loaded. A built-in encoder does not import Transformers, which takes a second.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from imf_core.base.artifacts import file_sha256
from imf_core.base.errors import ConfigError, ModelUnavailableError
from imf_core.features.shared.precomputed_advice import literal, python_command

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

    section: str
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


def locate_model(section: str, model: str, revision: str | None, builtin: str) -> ModelSource:
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


def require_no_workers(section: str, model: str, ray_workers: int) -> None:
    """Refuses workers for a built-in model, which is fitted on all inputs at once.

    Raises:
        ConfigError: If workers are set.
    """
    if ray_workers:
        raise ConfigError(
            f"{section}.ray_workers in params.yaml must be 0 for {model!r}, which runs in one "
            f"process, got {ray_workers}"
        )


def require_no_revision(section: str, model: str, revision: str | None) -> None:
    """Refuses a revision for a built-in model.

    Raises:
        ConfigError: If a revision is set.
    """
    if revision is not None:
        raise ConfigError(
            f"{section}.revision in params.yaml must be null for {model!r} (it pins hub models "
            f"only), got {revision!r}"
        )


_CONFIG = "config.json"
_SETTINGS = (
    _CONFIG,
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf")


def check_model_files(source: ModelSource) -> None:
    """Refuses a model with its own code or with missing files.

    Raises:
        ModelUnavailableError: If a settings file names code, or a directory has no `config.json` or
            no safetensors weights.
        OSError: If the hub has no such model.
    """
    from transformers.utils.hub import cached_file  # noqa: PLC0415

    for name in _SETTINGS:
        path = cached_file(
            source.location,
            name,
            revision=source.revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,  # loading reports it
        )
        if path is not None:
            _refuse_code(source, Path(path))
    if source.revision is None:
        folder = Path(source.location)
        _require_config(source, folder)
        _require_safetensors(source, folder)


def _refuse_code(source: ModelSource, path: Path) -> None:
    """Refuses settings that name classes in the model's code."""
    settings = _read(path)
    parts = [settings, *(part for part in settings.values() if isinstance(part, dict))]
    found = [part["auto_map"] for part in parts if part.get("auto_map")]
    if found:
        raise ModelUnavailableError(
            f"{source.section}.model in params.yaml: {source.location!r} brings code of its own, "
            f"which is never run: the key auto_map of {path.name} names {json.dumps(found[0])}; "
            f"set {source.section}.model to another model or {source.builtin}, or, where "
            f"Transformers itself has the class, take auto_map out of {path.name} in a copy of the "
            "model and name its directory"
        )


def _require_config(source: ModelSource, folder: Path) -> None:
    """Requires `config.json`; the error names a subfolder that has it."""
    if (folder / _CONFIG).exists():
        return
    below = [
        path.parent for path in sorted(folder.glob(f"*/{_CONFIG}")) if "model_type" in _read(path)
    ]
    if below:
        remedy = f"did you mean {str(below[0])!r}? Set {source.section}.model to it"
    else:
        remedy = (
            "name a directory that save_pretrained wrote, or set "
            f"{source.section}.model to {source.builtin}"
        )
    raise ModelUnavailableError(
        f"{source.section}.model in params.yaml: the directory {source.location!r} has no "
        f"{_CONFIG} ({_listed(folder)}); {remedy}"
    )


def _require_safetensors(source: ModelSource, folder: Path) -> None:
    """Requires safetensors weights; the error has a command that converts other formats."""
    if any(folder.glob("*.safetensors")):
        return
    others = [path.name for path in sorted(folder.iterdir()) if path.suffix in _OTHER_WEIGHTS]
    if others:
        folder_name = literal(source.location)
        command = python_command(
            "from transformers import AutoModel as M; "
            f"M.from_pretrained({folder_name}).save_pretrained({folder_name})"
        )
        raise ModelUnavailableError(
            f"{source.section}.model in params.yaml: the weights in {source.location!r} are in "
            f"{others[0]}, but only safetensors are loaded, since such files can hold code; if you "
            f"trust them, convert PyTorch's weights with: {command}"
        )
    raise ModelUnavailableError(
        f"{source.section}.model in params.yaml: the directory {source.location!r} has no weights, "
        f"*.safetensors ({_listed(folder)}); put them there, or set {source.section}.model to "
        f"{source.builtin}"
    )


def _read(path: Path) -> dict[str, object]:
    """Reads settings; empty if malformed, which loading reports."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _listed(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"it has {', '.join(names[:8])}{more}" if names else "it is empty"
