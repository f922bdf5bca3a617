"""What `dvc.lock` says of the stages."""

from pathlib import Path
from typing import Any

import yaml

from imf_core.config import read_yaml
from imf_core.errors import DataError


def read_locked_stages(path: Path) -> dict[str, Any] | None:
    """Returns what was locked of each stage, by its name.

    DVC writes the file in place; while it does, the file may be empty or cut.

    Returns:
        None where there is no such file, or where it is cut before its first stage: no stage was
        run by DVC.

    Raises:
        DataError: If the file is cut in the midst of a value, or is something else.
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
