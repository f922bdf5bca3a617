"""The import rule: cli -> stages -> imf_core, flows -> (process) -> both, and the core's rooms."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_world import ROOT

PIPELINE = {
    "base": "",
    "web": "base",
    "graph": "base",
    "sources": "base web graph",
    "raster": "base graph",
    "prepare": "base web graph sources",
    "wikimedia": "base web graph sources",
    "images": "base web graph sources raster",
    "features/shared": "base graph",
    "features/image": "base graph raster features/shared",
    "features/text": "base graph features/shared",
    "features": "base graph features/shared",
    "paths": "base graph",
    "model": "base graph paths",
    "evaluation": "base graph",
    "training": "base graph paths model evaluation",
    "tuning": "base graph model training",
    "inference": "base graph sources prepare paths model features",
    "report": "base graph raster model evaluation inference",
    "serve": "base graph raster prepare inference report",
}
"""Room of `imf_core` -> rooms that it may import from, beside itself.

`dvc.yaml` names rooms, so a stage reruns after an edit of any file of its rooms."""
ROOMS = {room: set(below.split()) for room, below in PIPELINE.items()}
FOR_FLOWS = {
    f"imf_core.base.{name}"
    for name in (
        *("config", "params_file", "sections", "yaml_text", "modality"),
        *("errors", "artifacts", "terminal", "path_text"),
    )
}
"""Modules of the core that flows may use: parameters, metrics, safe output."""

HEAVY = {
    "torch",
    "transformers",
    "sklearn",
    "scipy",
    "PIL",
    "safetensors",
    "aiohttp",
    "dvclive",
    "ray",
}


def files_of(package: str) -> list[str]:
    paths = (ROOT / package).rglob("*.py")
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def tree_of(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yields all nodes of a module but those for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from run_nodes(node)


def imports_of(file: str) -> set[str]:
    """Returns the dotted modules a file imports, wherever in the file it does."""
    found = set()
    for node in run_nodes(tree_of(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively; write the full name"
            assert node.module is not None
            is_package = (ROOT / node.module.replace(".", "/")).is_dir()
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if is_package else {node.module}
    return found


def top_level(file: str) -> set[str]:
    return {module.split(".")[0] for module in imports_of(file)}


def room_of(module: str) -> str:
    """Returns the innermost folder of a module of the core."""
    return "/".join(module.split(".")[1:-1])


def core_imports(file: str) -> set[str]:
    return {module for module in imports_of(file) if module.startswith("imf_core.")}


CORE, STAGES, FLOWS = files_of("imf_core"), files_of("stages"), files_of("flows")
RECIPES, CLI = files_of("recipes"), files_of("cli")
ALL = CORE + STAGES + FLOWS + RECIPES + CLI
EVERY = [*ALL, *files_of("benchmarks"), *files_of("tools")]


def importing(files: list[str], *forbidden: str) -> list[str]:
    """Returns those of the files that import one of the packages."""
    return [file for file in files if top_level(file) & set(forbidden)]


def outside(files: list[str], *folders: str) -> list[str]:
    return [file for file in files if not file.startswith(folders)]


def test_every_folder_of_the_core_is_a_room() -> None:
    assert {room_of(file.replace("/", ".")[:-3]) for file in CORE} - {""} == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_core_imports_only_rooms_below_it(room: str) -> None:
    used = {
        room_of(module)
        for file in CORE
        if room_of(file.removesuffix(".py").replace("/", ".")) == room
        for module in core_imports(file)
    }
    assert used <= ROOMS[room] | {room}


def test_no_room_is_below_itself() -> None:
    order = list(ROOMS)
    assert all(order.index(below) < order.index(room) for room in order for below in ROOMS[room])


def test_the_core_knows_nothing_of_stages_flows_dvc_and_prefect() -> None:
    assert importing(CORE, "stages", "flows", "dvc", "dvclive", "prefect") == []


def test_the_core_reads_no_environment_variable() -> None:
    forbidden = {"environ", "environb", "getenv", "getenvb", "putenv"}
    readers = [
        file
        for file in CORE
        for node in ast.walk(tree_of(file))
        if (isinstance(node, ast.Attribute) and node.attr in forbidden)
        or (isinstance(node, ast.ImportFrom) and forbidden & {name.name for name in node.names})
    ]
    assert readers == []


def test_images_are_decoded_in_raster_and_features_alone() -> None:
    others = outside(CORE, "imf_core/raster/", "imf_core/features/") + STAGES + FLOWS
    assert importing(others, "PIL") == []


def test_transformers_are_used_in_features_alone() -> None:
    others = outside(CORE, "imf_core/features/") + STAGES + FLOWS
    assert importing(others, "transformers") == []


def test_ray_is_imported_in_one_file_and_only_when_asked_for() -> None:
    (file,) = importing(CORE + STAGES + FLOWS, "ray")
    assert file == "imf_core/features/shared/ray.py"
    at_import = [node for node in tree_of(file).body if isinstance(node, ast.Import)]
    assert "ray" not in {alias.name.split(".")[0] for node in at_import for alias in node.names}


def test_only_the_command_imports_the_server() -> None:
    others = outside(CORE, "imf_core/serve/") + STAGES + FLOWS + RECIPES
    assert [file for file in others if "imf_core.serve" in "".join(imports_of(file))] == []
    assert importing(others, "fastapi", "starlette", "uvicorn") == []


def test_the_network_is_reached_from_the_web_room_alone() -> None:
    others = outside(CORE + STAGES, "imf_core/web/")
    assert importing(others, "aiohttp", "requests", "pooch", "http", "socket") == []
    assert [file for file in others if "urllib.request" in imports_of(file)] == []


def test_the_model_needs_nothing_but_torch_and_the_parameters() -> None:
    folder = "imf_core/model/"
    model = [file for file in CORE if file.startswith(folder) and file != f"{folder}saved.py"]
    packages = set().union(*map(top_level, model))
    assert packages <= {"torch", "imf_core", *sys.stdlib_module_names}
    modules = set().union(*map(core_imports, model))
    beside = {module for module in modules if room_of(module) != "model"}
    assert beside <= {
        f"imf_core.base.{name}" for name in ("config", "sections", "modality", "device", "errors")
    } | {"imf_core.paths.channel", "imf_core.paths.network"}


def test_nothing_imports_the_benchmarks_and_the_tools() -> None:
    assert importing(ALL, "benchmarks", "tools") == []


def test_nothing_imports_the_command_and_it_starts_dvc_as_a_process() -> None:
    others = outside(ALL, "cli/")
    assert importing(others, "cli") == []
    assert importing(CLI, "dvc", "prefect") == []


def test_recipes_know_the_core_and_the_stages() -> None:
    assert importing(RECIPES, "flows", "benchmarks", "prefect", "dvc", "dvclive") == []


def test_of_the_recipes_flows_know_what_each_sets_and_nothing_else_knows_of_them() -> None:
    assert importing(CORE + STAGES, "recipes") == []
    used = {module for file in FLOWS for module in imports_of(file) if module[:7] == "recipes"}
    assert used <= {"recipes.recipe"}
    assert core_imports("recipes/recipe.py") <= FOR_FLOWS
    assert importing(["recipes/recipe.py", "recipes/__init__.py"], *HEAVY, "stages") == []


def test_flows_know_nothing_of_torch_and_the_model() -> None:
    assert importing(FLOWS, *HEAVY) == []
    assert set().union(*map(core_imports, FLOWS)) <= FOR_FLOWS


def test_the_core_and_flows_import_no_stage() -> None:
    assert importing(CORE + FLOWS, "stages") == []


def test_stages_know_nothing_of_flows_and_but_for_one_question_nothing_of_dvc() -> None:
    assert importing(STAGES, "flows", "prefect") == []
    assert importing(STAGES, "dvc") == ["stages/committed.py"]


def test_the_report_is_above_all_of_the_core_but_the_server_and_alone_writes_html() -> None:
    assert [
        file
        for file in outside(CORE, "imf_core/report/", "imf_core/serve/")
        if "imf_core.report" in "".join(imports_of(file))
    ] == []
    assert importing(outside(CORE, "imf_core/report/") + FLOWS, "jinja2", "markupsafe") == []
    assert importing(CORE + FLOWS, "vl_convert") == []


def test_live_metrics_are_logged_by_the_train_stage_alone() -> None:
    assert importing(CORE + STAGES + FLOWS, "dvclive") == ["stages/train.py"]


def test_stages_and_the_form_of_experiments_alone_read_the_parameter_file() -> None:
    others = outside(
        CORE + FLOWS,
        *("imf_core/base/config.py", "imf_core/base/params_file.py", "flows/experiments/form.py"),
    )
    readers = [file for file in others if "load_params" in (ROOT / file).read_text("utf-8")]
    assert readers == []


def test_every_module_says_what_it_is_for() -> None:
    assert [file for file in ALL if not ast.get_docstring(tree_of(file))] == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "helpers", "common", "misc"}
    assert [file for file in ALL if Path(file).stem in drawers] == []


def test_no_source_file_is_longer_than_400_lines() -> None:
    assert [
        file for file in EVERY if len((ROOT / file).read_text("utf-8").splitlines()) > 400
    ] == []
