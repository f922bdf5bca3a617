"""Collects the names and bytes that users rely on: keys, commands, columns, hashes of outs.

`PYTHONPATH=$PWD:$PWD/tests python tests/frozen/published.py` runs `dvc repro` on `atlas` and on
`examples/solar-system`, at one thread, and writes `published.json`. A commit that rewrites the file
gives the reason.
"""

import ast
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import typer
import yaml
from workspace import ROOT, Workspace, make_workspace

from cli.__main__ import app
from imf_core.base.config import Params

FILE = Path(__file__).with_name("published.json")
MODULES = ("flows", "recipes")
"""Packages with modules that are commands: `python -m MODULE`."""
GRAPHS: dict[str, dict[str, dict[str, object]]] = {
    "atlas": {},
    "solar-system": {"dataset": {"name": "folder", "path": "examples/solar-system"}},
}
"""Graph -> changes of params.yaml."""

ON_CPU: dict[str, dict[str, object]] = {
    section: {"device": "cpu"}
    for section in ("image_features", "text_features", "train", "evaluate", "predict")
}

UNSTABLE = "results/report.html"
"""The only out that names dates and versions."""

WITHOUT_ARITHMETIC = ("download", "prepare", "media", "images")
"""Stages with the same bytes on every processor: they add no floating-point numbers."""


def list_names() -> dict[str, Any]:
    """Returns the keys of params.yaml, the stages, and the commands with their options."""
    return {
        "params": sorted(
            f"{section}.{key}"
            for section, field in Params.model_fields.items()
            for key in field.annotation.model_fields  # type: ignore[union-attr]
        ),
        "stages": list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]),
        "commands": {
            f"imf {name}": sorted(
                word
                for each in command.params
                for word in (each.opts if each.param_type_name == "option" else [each.name])
            )
            for name, command in typer.main.get_command(app).commands.items()
        }
        | {
            ".".join(path.relative_to(ROOT).with_suffix("").parts): options
            for folder in MODULES
            for path in sorted((ROOT / folder).rglob("*.py"))
            if (options := _options_of(path))
        },
    }


def _options_of(path: Path) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return sorted(
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "add_argument"
        and isinstance(call.args[0], ast.Constant)
    )


def run_graph(folder: Path, name: str) -> Workspace:
    """Runs all stages with the values of params.yaml in a copy of the project."""
    workspace = make_workspace(folder, small=False)
    workspace.set_params(ON_CPU | GRAPHS[name])
    workspace.dvc("repro")
    return workspace


def list_outs(workspace: Workspace) -> dict[str, str]:
    """Returns stage:path -> MD5 of each out of a finished workspace."""
    stages = yaml.safe_load((workspace.folder / "dvc.lock").read_text())["stages"]
    return {
        f"{name}:{out['path']}": out["md5"]
        for name, stage in sorted(stages.items())
        for out in stage["outs"]
        if out["path"] != UNSTABLE
    }


def list_columns(workspace: Workspace) -> dict[str, list[str]]:
    """Returns the columns of each Parquet file of a finished workspace."""
    files = [path for top in ("data", "results") for path in (workspace.folder / top).rglob("*")]
    return {
        path.relative_to(workspace.folder).as_posix(): pq.read_schema(path).names
        for path in sorted(files)
        if path.suffix == ".parquet"
    }


def list_metric_keys(workspace: Workspace) -> dict[str, list[str]]:
    """Returns the dotted keys of each metrics file of a finished workspace."""
    files = [
        metric if isinstance(metric, str) else next(iter(metric))
        for stage in yaml.safe_load((workspace.folder / "dvc.yaml").read_text())["stages"].values()
        for metric in stage.get("metrics", [])
    ]
    return {
        file: sorted(_dotted(json.loads((workspace.folder / file).read_text()))) for file in files
    }


def _dotted(value: dict[str, Any], prefix: str = "") -> list[str]:
    return [
        name
        for key, inner in value.items()
        for name in (
            _dotted(inner, f"{prefix}{key}.") if isinstance(inner, dict) else [f"{prefix}{key}"]
        )
    ]


def probe_arithmetic() -> str:
    """Returns a hash of float32 and float64 results that differ between kinds of processors."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand(257, 129, generator=generator)
    results = [
        (matrix @ matrix.T).numpy(),
        torch.log_softmax(matrix, dim=1).numpy(),
        torch.linalg.svdvals(matrix).numpy(),
        np.linalg.svd(matrix.double().numpy(), compute_uv=False),
        matrix.numpy().T @ matrix.numpy(),
    ]
    return hashlib.sha256(b"".join(each.tobytes() for each in results)).hexdigest()


def main() -> None:
    """Writes `published.json`."""
    found: dict[str, Any] = {"names": list_names(), "arithmetic": one_thread_probe(), "outs": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in GRAPHS:
            workspace = run_graph(Path(folder) / name, name)
            found["outs"][name] = list_outs(workspace)
            found["columns"] = list_columns(workspace)
            found["metrics"] = list_metric_keys(workspace)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


def one_thread_probe() -> str:
    """Returns `probe_arithmetic` of a process with one thread, as the stages' processes have."""
    program = "from published import probe_arithmetic; print(probe_arithmetic())"
    process = Workspace(Path(__file__).parent)
    process.environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    return process.run(sys.executable, "-c", program).stdout.strip()


if __name__ == "__main__":
    main()
