"""What the workspace's params.yaml has to do with a recipe.

A recipe says what differs from params.yaml as it is committed: `dvc exp run -S` leaves the values
of the last run in the file, and those of one row must not get into the next.
"""

import subprocess
from collections.abc import Iterable
from typing import Any

from imf_core.config import Params, read_yaml, validate
from imf_core.errors import ConfigError
from stages.dvc_lock import read_locked_stages
from stages.layout import LOCK, PARAMS

DATA_SECTIONS = ("dataset", "prepare", "media", "images", "image_features", "text_features")
"""Sections that graph and features are made by."""

_CUT = (
    f"{LOCK} is empty or cut, as it is for a while when DVC writes it; try again when no "
    "`dvc repro` or `dvc exp run` is at work, and if it is still so, run "
    "`dvc repro image_features text_features`"
)


def read_committed() -> Params:
    """Reads params.yaml as it is committed.

    Raises:
        ConfigError: If git has none, or it is not valid.
    """
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{PARAMS}"], capture_output=True, text=True, check=False
    )
    if shown.returncode:
        raise ConfigError(
            f"git has no committed {PARAMS} here ({shown.stderr.strip()}); recipes differ from "
            "that one, so run from the root of a clone of the project"
        )
    return validate(Params, read_yaml(shown.stdout), f"the committed {PARAMS}")


def find_differences(found: Params, expected: Params, sections: Iterable[str]) -> list[str]:
    """Lists where two sets of parameters differ, each with both values.

    Args:
        found: Those of the workspace.
        expected: Those it is compared with.
        sections: Which are compared.
    """
    mine: dict[str, Any] = found.model_dump()
    other: dict[str, Any] = expected.model_dump()
    return [
        f"{section}.{key} is {value!r}, not {other[section][key]!r}"
        for section in sections
        for key, value in mine[section].items()
        if value != other[section][key]
    ]


def check_prepared(name: str, found: Params, expected: Params) -> None:
    """Checks that the workspace's graph and features are made as a recipe says.

    Args:
        name: The recipe.
        found: The workspace's params.yaml.
        expected: The recipe laid over the committed one, with what is set on the command line.

    Raises:
        ConfigError: If a value of the data differs, or DVC made them with others; it says how to
            prepare them.
    """
    if differences := find_differences(found, expected, DATA_SECTIONS):
        raise ConfigError(
            f"the workspace is not prepared for recipes/{name}.yaml: in {PARAMS} "
            f"{'; '.join(differences)}. Run `git checkout {PARAMS}` and "
            f"`dvc exp run $(python -m recipes {name}) tune`, or say with --set what is meant to "
            "differ"
        )
    if unmade := _find_unmade(found):
        raise ConfigError(
            f"data/ was not made with the values that {PARAMS} has now: {'; '.join(unmade)}. Run "
            "`dvc repro tune`"
        )


def _find_unmade(found: Params) -> list[str]:
    """Lists values of the data that DVC has not run with; none where it has not run at all."""
    values = found.model_dump()
    unmade = [
        f"{section}.{key} was {made[key]!r}, is {now!r}"
        for section, made in _read_locked()
        if section in DATA_SECTIONS
        for key, now in values[section].items()
        if key in made and made[key] != now
    ]
    return list(dict.fromkeys(unmade))


def _read_locked() -> list[tuple[str, dict[str, Any]]]:
    """Reads what DVC ran its stages with: for each the sections it declares, or a key of one.

    Raises:
        ConfigError: If DVC's file is empty or ends early.
        DataError: If it is no valid YAML.
    """
    if not LOCK.exists():
        return []
    stages = read_locked_stages(LOCK)
    if stages is None:
        raise ConfigError(_CUT)
    try:
        return [
            (section, {key: value} if key else dict(value))
            for stage in stages.values()
            for dotted, value in stage.get("params", {}).get(str(PARAMS), {}).items()
            for section, _, key in [dotted.partition(".")]
        ]
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(_CUT) from error
