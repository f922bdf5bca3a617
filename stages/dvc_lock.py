"""Reads `dvc.lock`."""

from pathlib import Path
from typing import Any

import yaml

from imf_core.errors import DataError
from imf_core.typed_yaml import read_yaml


def read_locked_stages(path: Path) -> dict[str, Any] | None:
    """Returns the entries of `dvc.lock` by stage.

    DVC writes the file in place; meanwhile it may be empty or incomplete.

    Returns:
        The entries; None without the file, or if it ends before its first stage: DVC ran no stage.

    Raises:
        DataError: If the file ends within a value, or is malformed.
    """
    if not path.exists():
        return None
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is damaged: it is no valid YAML; put it back with `git checkout {path}`, or "
            "remove it and run `dvc repro`"
        ) from error
    stages = content.get("stages") if isinstance(content, dict) else None
    return dict(stages) if stages else None
