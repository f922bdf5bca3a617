"""The packed model of a finished workspace opens in an empty folder, with nothing but the wheel."""

import inspect
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from workspace import ROOT, Workspace

import imf_core
from cli.__main__ import call
from imf_core.base.errors import DataError
from imf_core.inference.completer import Completer
from imf_core.inference.model_folder import REMEDY

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
MARS = "examples/solar-system/images/mars.png"
DISTRIBUTED = ("imf_core", "stages", "flows", "recipes", "cli", "pyproject.toml", "README.md")


@pytest.fixture(scope="module")
def packed(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packed model `my-model` and a picture."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished.folder)
        call(["export", "--model", str(folder / "my-model")])
    shutil.copy(ROOT / MARS, folder)
    return folder


def code_of_the_page() -> str:
    blocks = re.findall(r"(<!-- needs: .+? -->\n)?```python\n(.*?)```", PAGE, flags=re.DOTALL)
    return "\n".join(code for needs, code in blocks if not needs)


def test_the_code_of_the_page_runs(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(packed)
    exec(compile(code_of_the_page(), "docs/python.md", "exec"), {})


def test_the_page_shows_every_method() -> None:
    methods = [
        name
        for name, _ in inspect.getmembers(Completer, inspect.isfunction)
        if not name.startswith("_")
    ]
    internal = {"find_query"}
    assert [name for name in methods if f".{name}(" not in PAGE] == sorted(internal)


def test_a_packed_model_is_asked_in_a_folder_without_a_project(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(packed)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    call(["ask", "--model", "my-model", "Earth", "orbits", "-k", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert "Earth - orbits - ?" in lines
    assert len([line for line in lines if "[" in line]) == 3
    new = ("--description", "A small moon of rock and ice.", "--image", "mars.png")
    call(["ask", "--model", "my-model", *new, "orbits", "-k", "2"])
    assert "the new entity - orbits - ?" in capsys.readouterr().out.splitlines()


def test_a_new_entity_has_the_answers_that_it_has_in_the_project(
    packed: Path,
    finished: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    words = ["--description", "A small moon.", "--image", str(packed / "mars.png"), "orbits"]
    printed = []
    for folder, more in ((packed, ["--model", "my-model"]), (finished.folder, [])):
        monkeypatch.chdir(folder)
        call(["ask", *more, *words])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


@pytest.mark.parametrize("content", [b"", b"[]"])
def test_a_damaged_encoder_is_named_where_it_is_needed(
    content: bytes, packed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "my-model"
    shutil.copytree(packed / "my-model", folder)
    for path in (each for each in (folder / "encoders").rglob("*") if each.is_file()):
        original = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{path.name}.*; {re.escape(REMEDY)}$"):
            imf_core.load(folder, "cpu").encode(["a red planet"], [packed / "mars.png"])
        path.write_bytes(original)


def test_a_folder_without_a_model_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    with pytest.raises(SystemExit, match="1"):
        call(["ask", "--model", "nowhere", "Earth", "orbits"])
    assert capsys.readouterr().err.startswith("error: nowhere is no packed model: it has no graph")


@pytest.mark.slow
def test_the_wheel_is_all_that_a_packed_model_needs(packed: Path, tmp_path: Path) -> None:
    source, wheels, installed = (tmp_path / name for name in ("source", "wheels", "installed"))
    source.mkdir()
    for name in DISTRIBUTED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    subprocess.run([sys.executable, *pip, "-w", wheels, source], check=True)
    (wheel,) = wheels.glob("imf-*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    assert not (installed / "tests").exists()
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    ask = ["-m", "cli", "ask", "--model", "my-model", "Earth", "orbits", "-k", "3"]
    check = f"import imf_core\nassert imf_core.__file__.startswith({str(installed)!r})\n"
    for arguments in (ask, ["-c", check + code_of_the_page()]):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=packed,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in packed.iterdir()) == ["mars.png", "my-model"]
