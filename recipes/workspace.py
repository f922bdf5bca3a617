"""Compares the workspace's params.yaml with a recipe.

A recipe has the values that differ from the committed params.yaml: `dvc exp run -S` leaves the
values of the last run in the file, and those of one row must not affect the next.
"""

import subprocess
from collections.abc import Iterable
from typing import Any

from imf_core.base.config import Params
from imf_core.base.errors import ConfigError
from imf_core.base.modality import find_modalities
from imf_core.base.sections import validate
from imf_core.base.yaml_text import read_yaml
from stages.committed import read_locked_stages
from stages.paths import LOCK, PARAMS

DATA_SECTIONS = (
    *("dataset", "prepare", "media", "images"),
    *(each.section for each in find_modalities().values()),
)
"""Sections that graph and features depend on."""

_CUT = (
    f"{LOCK} is empty or incomplete, as it is while DVC writes it; try again when no "
    "`dvc repro` or `dvc exp run` is running, and if that does not help, run "
    "`dvc repro image_features text_features`"
)


def read_committed() -> Params:
    """Reads the committed params.yaml.

    Raises:
        ConfigError: If git has none, or it is not valid.
    """
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{PARAMS}"], capture_output=True, text=True, check=False
    )
    if shown.returncode:
        raise ConfigError(
            f"git has no committed {PARAMS} here ({shown.stderr.strip()}); recipes need "
            "it; run from the root of a clone of the project"
        )
    return validate(Params, read_yaml(shown.stdout), f"the committed {PARAMS}")


def find_differences(found: Params, expected: Params, sections: Iterable[str]) -> list[str]:
    """Lists the differences between two sets of parameters, with both values.

    Args:
        found: Parameters of the workspace.
        expected: Parameters to compare with.
        sections: Sections to compare.
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
    """Checks that the workspace's graph and features match a recipe.

    Args:
        name: The recipe.
        found: The workspace's params.yaml.
        expected: The committed params.yaml with the recipe and the command line's settings.

    Raises:
        ConfigError: If a value of the data differs, or DVC made the data with other values; the
            message tells how to prepare them.
    """
    if differences := find_differences(found, expected, DATA_SECTIONS):
        raise ConfigError(
            f"the workspace is not prepared for recipes/{name}.yaml: in {PARAMS} "
            f"{'; '.join(differences)}. Run `git checkout {PARAMS}` and "
            f"`dvc exp run $(python -m recipes {name}) tune`, or give intended differences with "
            "--set"
        )
    if unmade := _find_unmade(found):
        raise ConfigError(
            f"data/ was not made with the values that {PARAMS} has now: {'; '.join(unmade)}. Run "
            "`dvc repro tune`"
        )


def _find_unmade(found: Params) -> list[str]:
    """Lists data values that differ from those of DVC's last run; empty if it never ran."""
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
    """Reads the parameters of DVC's last run: the sections or keys that each stage declares.

    Raises:
        ConfigError: If DVC's file is empty or incomplete.
        DataError: If it is not valid YAML.
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
