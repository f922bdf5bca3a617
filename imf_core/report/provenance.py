"""What a run was made of: parameters and hashes as `dvc.lock` has them, and the software."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any

PRIVATE_SECTIONS = frozenset({"fetch"})
"""Holds the address of whoever ran it, which a page that is passed on must not."""

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "transformers", "pyarrow", "dvc", "prefect")


@dataclass(frozen=True)
class Output:
    """One file or folder that a stage wrote, with DVC's hash of it."""

    stage: str
    path: str
    hash: str
    size: int


@dataclass(frozen=True)
class Lock:
    """What `dvc.lock` says of the stages.

    Attributes:
        outputs: By path.
        params: Value as YAML has it by `section.key`, sorted; of an absolute path the last part.
    """

    outputs: list[Output]
    params: dict[str, str]


def describe_lock(stages: Mapping[str, Any]) -> Lock:
    """Lists outputs and parameters.

    Args:
        stages: What DVC has locked of each stage, by its name.
    """
    outputs = [
        Output(name, out["path"], f"{out['hash']}:{out[out['hash']]}", out.get("size", 0))
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    ]
    params: dict[str, str] = {}
    for stage in stages.values():
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            if key.split(".")[0] not in PRIVATE_SECTIONS:
                params.update(_flatten(key, value))
    # The order in the file is that in which stages came to be run.
    return Lock(sorted(outputs, key=lambda out: out.path), dict(sorted(params.items())))


def describe_environment(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Returns the versions of Python and of what results depend on, and the kind of machine."""
    found = {"Python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "system": f"{platform.system()} on {platform.machine()}"}


def _flatten(key: str, value: object) -> dict[str, str]:
    """Writes a section as its keys."""
    if isinstance(value, Mapping):
        return {f"{key}.{name}": _word(each) for name, each in value.items()}
    return {key: _word(value)}


def _word(value: object) -> str:
    """Writes a value; where on a machine its files lie is of no use elsewhere."""
    if isinstance(value, str):
        return f"…/{PurePath(value).name}" if PurePath(value).is_absolute() else value
    if isinstance(value, list):
        return f"[{', '.join(map(_word, value))}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_word(each)}" for name, each in value.items())
    return json.dumps(value)
