"""Weights of a path network: those of the package, a file's, or a hub model's.

Only the last needs the network, and only the first time.
"""

import re
from pathlib import Path

from imf_core.base.errors import ConfigError, ModelUnavailableError
from imf_core.paths.network import PathNetwork, load_paths

PRETRAINED = "pretrained"
"""Names the weights of the package."""

WEIGHTS = Path(__file__).with_name("pretrained.safetensors")

HUB_FILE = "model.safetensors"
"""The file of a hub model."""

_HUB_MODEL = re.compile(r"(?P<model>[\w-][\w.-]*/[\w-][\w.-]*)@(?P<revision>[0-9a-f]{40})")
_FILES = (".safetensors", ".pth")


def load_pretrained() -> PathNetwork:
    """Reads the weights of the package; `PRETRAINED.md` beside them says how they were made.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return load_paths(
        WEIGHTS,
        "it is a file of this package: install the package again, or run `git checkout` on it in a "
        "clone",
    )


def find_network(value: str) -> PathNetwork:
    """Reads the weights that a value names.

    Args:
        value: `pretrained`: those of the package; the path of a file, see `load_paths`; or
            `OWNER/MODEL@COMMIT`: the file `model.safetensors` of a hub model at that commit.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        ConfigError: If the value is none of the three.
        DataError: If the file is missing, damaged or of another network.
        ModelUnavailableError: If the hub's file cannot be fetched.
    """
    if value == PRETRAINED:
        return load_pretrained()
    if Path(value).suffix in _FILES:
        return load_paths(Path(value))
    if found := _HUB_MODEL.fullmatch(value):
        return load_paths(_fetch(found["model"], found["revision"]))
    raise ConfigError(
        f"the weights of a path network must be {PRETRAINED}, a file ({' or '.join(_FILES)}) or a "
        f"hub model pinned to a commit (OWNER/MODEL@40-HEXADECIMAL-DIGITS), got {value!r}"
    )


def _fetch(model: str, revision: str) -> Path:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - only where it is needed
    from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415

    try:
        return Path(hf_hub_download(model, HUB_FILE, revision=revision))
    except (OSError, ValueError, EntryNotFoundError) as error:
        reason = " ".join(str(error).split())[:600] or type(error).__name__
        raise ModelUnavailableError(
            f"{HUB_FILE} of the hub model {model} at revision {revision} cannot be fetched "
            f"({reason}); check the names and the network (with HF_HUB_OFFLINE=1 only models "
            f"fetched before are found), or set {PRETRAINED}, which needs no network"
        ) from error
