"""dvc.yaml declares exactly what each stage reads."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from imf_core.base.config import Params
from imf_core.base.modality import find_modalities
from stages import paths

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PACKAGES = {"imf_core", "stages"}
ALONE = {Path("stages"), Path("imf_core/features")}
"""Folders of files that are stages or modalities of their own."""


def imported_files(path: Path) -> set[Path]:
    """Files of this project that a module imports, directly or not, itself included."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        for name in _imported_names(module):
            base = ROOT.joinpath(*name.split("."))
            waiting.extend(file for file in [base.with_suffix(".py")] if file.exists())
    return found


def _imported_names(module: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in PACKAGES]


def room_of(file: Path) -> str:
    """Returns the folder of a file of the core, the file itself of a stage or a modality."""
    path = file.relative_to(ROOT)
    return str(path if path.parent in ALONE else path.parent)


def code_of(stage: str) -> list[Path]:
    """Returns the files that a stage runs: its module, and the modality that it finds by name."""
    module, *modality = STAGES[stage]["cmd"].removeprefix("python -m ").split()
    files = [ROOT.joinpath(*module.split(".")).with_suffix(".py")]
    for name in modality:
        file = ROOT / "imf_core/features" / f"{name}.py"
        files.append(file if file.exists() else file.with_suffix("") / "__init__.py")
    return files


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_rooms_that_it_imports(stage: str) -> None:
    files = set().union(*map(imported_files, code_of(stage)))
    imported = {room_of(file) for file in files}
    declared = {dep for dep in STAGES[stage]["deps"] if dep.split("/")[0] in PACKAGES}
    assert (imported - declared, declared - imported) == (set(), set()), "to add, to remove"


@pytest.mark.parametrize(
    ("edited", "stage"),
    [
        ("imf_core/features/text/pretrained_text.py", "image_features"),
        ("imf_core/features/image/pretrained_image.py", "text_features"),
        ("imf_core/features/numeric.py", "image_features"),
        ("imf_core/features/text/__init__.py", "train"),
        ("imf_core/images/select.py", "image_features"),
        ("imf_core/sources/rdf.py", "image_features"),
        ("imf_core/wikimedia/wikidata.py", "text_features"),
        ("imf_core/report/page.py", "train"),
        ("imf_core/inference/predict.py", "train"),
        ("imf_core/tuning/search.py", "train"),
        ("imf_core/training/trainer.py", "image_features"),
    ],
)
def test_an_edit_that_cannot_concern_a_costly_stage_does_not_rerun_it(
    edited: str, stage: str
) -> None:
    assert (ROOT / edited).is_file()
    assert not any(edited.startswith(f"{dep}/") for dep in STAGES[stage]["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_exactly_the_parameter_sections_it_reads(stage: str) -> None:
    source = code_of(stage)[0].read_text()
    names = "|".join(Params.model_fields)
    whole = r"|\bparams" if "params = load_params(PARAMS)\n" in source else ""
    read = set(re.findall(rf"(?:load_params\(PARAMS\){whole})\.({names})\b", source))
    read |= {stage} & {each.section for each in find_modalities().values()}
    declared = {param.split(".")[0] for param in STAGES[stage]["params"]}
    assert declared == read


@pytest.mark.parametrize("section", ["image_features", "text_features"])
def test_of_the_encoders_all_is_watched_but_who_computes(section: str) -> None:
    keys = set(Params.model_fields[section].annotation.model_fields)
    watched = {param.removeprefix(f"{section}.") for param in STAGES[section]["params"]}
    assert watched == keys - {"ray_workers"}


def test_every_parameter_section_is_read_by_some_stage() -> None:
    declared = {param.split(".")[0] for stage in STAGES.values() for param in stage["params"]}
    assert declared == set(Params.model_fields)


def test_the_stages_write_where_dvc_yaml_says() -> None:
    outs = {out for stage in STAGES.values() for out in stage["outs"] + stage.get("metrics", [])}
    places = {str(value) for value in vars(paths).values() if isinstance(value, Path)}
    places |= {str(path) for path in paths.FEATURES.values()}
    for place in places - {str(paths.PARAMS), str(paths.LOCK)}:
        assert any(out == place or out.startswith(f"{place}/") for out in outs), place


def test_no_out_is_persistent_or_uncached() -> None:
    # Either would keep DVC's run-cache from restoring a run.
    for stage in STAGES.values():
        assert all(isinstance(out, str) for out in stage["outs"] + stage.get("metrics", []))
