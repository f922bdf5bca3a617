"""The audit tables, and the page that shows them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import data
from imf_core.base.errors import ConfigError
from imf_core.graph.issues import DataIssue

Print = Callable[..., list[str]]

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/data.md").read_text(encoding="utf-8")


@pytest.fixture
def printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Print:
    """Returns a function that runs the command in the project, keeping files elsewhere."""

    def run(*names: str) -> list[str]:
        monkeypatch.chdir(PROJECT)
        monkeypatch.setenv("IMF_STATE", str(tmp_path / "state"))
        data.audit(list(names))
        return capsys.readouterr().out.splitlines()

    return run


def test_each_table_has_a_row_for_each_set(printed: Print) -> None:
    lines = printed("atlas")
    titles = [line for line in lines if line.startswith("### ")]
    assert titles == [f"### {title}" for title in [*data.TABLES, "Look at these first"]]
    assert sum(line.startswith("| atlas |") for line in lines) == len(data.TABLES)


def test_the_first_example_of_each_issue_is_shown(printed: Print) -> None:
    issues = "\n".join(printed("atlas")).split("### Look at these first\n")[1]
    assert issues.strip() == (
        "- atlas: 5 names are those of several entities, which people cannot tell apart "
        r"(first: 'Monaco'\: 'city/Monaco', 'country/MCO')"
    )


def test_labels_are_shown_as_they_stand() -> None:
    label = "a|b `c` [d](javascript:e) <b>"
    issue = DataIssue("shared_names", 2, "names are shared", (label, "other"))
    (line,) = list(data.audit_issues({"folder": {"issues": [issue.as_row()]}}))[1:]
    shown = line.removeprefix("- folder: 2 names are shared (first: ").removesuffix(")")
    assert shown == r"a\|b \`c\` \[d\](javascript\:e) \<b\>"


def test_the_graph_of_the_user_is_audited_by_the_word_folder(printed: Print) -> None:
    lines = printed("folder")
    assert sum(line.startswith("| folder |") for line in lines) == len(data.TABLES)
    assert "| folder | 137 (100.0%) | 132 (96.4%) | 7 (5.1%) | 0 | 0 |" in lines
    assert lines[-1] == "Nothing."


def test_a_wrong_name_is_told(printed: Print) -> None:
    with pytest.raises(ConfigError, match="did you mean atlas"):
        printed("atlsa")


def test_the_page_shows_the_atlas_as_printed(printed: Print) -> None:
    missing = [line for line in printed("atlas") if line not in PAGE.splitlines()]
    assert missing == []


@pytest.mark.parametrize("name", ["nations", "db15k", "mkg-w"])
def test_the_page_shows_a_downloaded_set_as_printed(
    name: str, printed: Print, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMF_MIRROR", str(mirror))
    missing = [line for line in printed(name) if line not in PAGE.splitlines()]
    assert missing == []


def test_the_command_on_the_page_names_the_sets_of_its_tables() -> None:
    (names,) = re.findall(r"\$ imf audit (.*)", PAGE)
    for title in data.TABLES:
        section = PAGE.split(f"### {title}\n")[1].split("\n### ")[0].split("\n## ")[0]
        assert re.findall(r"^\| ([\w-]+) \|", section, flags=re.MULTILINE) == [
            "set",
            *names.split(),
        ]
