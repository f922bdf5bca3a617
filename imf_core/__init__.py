"""IMF: interactive multimodal fusion for knowledge-graph completion.

The library behind the pipeline's stages: data, features, model, training, evaluation and
inference. It takes typed configuration and paths, reads no environment variable and knows
nothing of DVC or Prefect.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imf_core.inference.completer import Completer
    from imf_core.inference.untrained import UntrainedCompleter


def load(folder: Path | str, device: str = "auto") -> "Completer":
    """Opens a trained model.

    Args:
        folder: A folder of `imf export --model FOLDER`, or `results/model` of a project after a
            run.
        device: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:1`.

    Returns:
        The model, which answers questions; `docs/python.md` shows how.

    Raises:
        imf_core.base.errors.ImfError: If the folder holds no model, or a file is missing or
            damaged; the message names the remedy.
    """
    from imf_core.inference.model_folder import load as load_folder  # noqa: PLC0415 - torch

    return load_folder(Path(folder), device)


def load_untrained(path: Path | str) -> "UntrainedCompleter":
    """Opens a graph without a trained model; the pretrained path network answers.

    Args:
        path: A folder with `train.txt`, or an RDF file, as `dataset.path` names them; nothing is
            written there.

    Returns:
        The graph, which answers questions and gives reasons; `docs/paths.md` shows how.

    Raises:
        imf_core.base.errors.ImfError: If there is no graph, a file is malformed, or the graph needs
            more memory than there is; the message names the remedy.
    """
    from imf_core.inference.untrained import load_untrained as load_graph  # noqa: PLC0415 - torch
    from imf_core.paths.pretrained import load_pretrained  # noqa: PLC0415 - torch

    return load_graph(Path(path), load_pretrained())
