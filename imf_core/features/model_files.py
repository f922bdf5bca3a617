"""Checks the files of a pretrained model before Transformers loads them.

A model's files are untrusted: their code is never run, and pickled weights, which can contain code,
are never loaded.
"""

import json
from pathlib import Path

from transformers.utils.hub import cached_file

from imf_core.errors import ModelUnavailableError
from imf_core.features.model_source import ModelSource
from imf_core.features.pasted import literal, python_command

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
