"""The README names what exists."""

import re
from importlib.util import find_spec
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README
    assert "TODO" not in README


def test_every_link_within_the_project_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_every_command_names_a_target_module_or_parameter_that_exists() -> None:
    commands = "\n".join(re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL))
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\$ make (\w+)", commands):
        assert f"\n{target}:" in makefile
    for module in re.findall(r"python -m ([\w.]+)", commands):
        assert find_spec(module) is not None
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, key in re.findall(r"-S '?(\w+)\.(\w+)=", commands):
        assert key in params[section]


def test_every_stage_is_described() -> None:
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]:
        assert f"`{stage}`" in README
