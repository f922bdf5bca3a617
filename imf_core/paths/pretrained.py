"""The pretrained weights of the package, and weights that a user names."""

from pathlib import Path

from imf_core.base.errors import DataError
from imf_core.paths.network import PathNetwork, load_paths

PRETRAINED = "pretrained"
"""Names the weights of the package."""

WEIGHTS = Path(__file__).with_name("pretrained.safetensors")


def load_pretrained() -> PathNetwork:
    """Reads the weights of the package; `PRETRAINED.md` beside them says how they were made.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        DataError: If the file is missing or damaged.
    """
    try:
        return load_paths(WEIGHTS)
    except DataError as error:
        raise DataError(
            f"{error}. It is a file of this package: install the package again, or run "
            "`git checkout` on it in a clone"
        ) from error


def find_network(value: str) -> PathNetwork:
    """Reads the weights that `paths.weights` names.

    Args:
        value: `pretrained` for the weights of the package, or the path of a file of weights.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return load_pretrained() if value == PRETRAINED else load_paths(Path(value))
