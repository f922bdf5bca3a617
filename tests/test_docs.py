"""README and docs name existing files, and tests check every command in them.

A command is a line `$ ...` of a `console` block. A comment before the block, such as `<!-- needs:
network -->`, marks commands with requirements that a test cannot meet. Every other command is run
below or by the test that `RUN_ELSEWHERE` names, or is an experiment with checked arguments. The
arguments of DVC are checked in all commands.
"""

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
import yaml
from dvc.cli.parser import get_main_parser
from dvc.utils.hydra import apply_overrides
from workspace import ROOT, Workspace

from cli.__main__ import app
from imf_core.base.modality import FeaturesParams, Modality
from imf_core.base.params_file import load_params
from recipes.recipe import read_recipe
from recipes.rows import find_row

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

RUN_HERE = (
    "imf plots-page",
    "dvc config --local plots.html_template plots.html",
    "dvc plots show",
    "dvc plots diff",
    "dvc metrics show",
    "dvc metrics diff",
    "dvc exp show --only-changed",
    "imf show",
    "git checkout params.yaml",
)
"""Run in this order in a finished workspace."""

REPRO = "pipeline/test_repro.py"
ASK = "pipeline/test_ask_and_export.py"
SERVE = "serve/test_command.py"
CURATION = "pipeline/test_curation_session.py"
TRAVELS = "pipeline/test_model_travels.py"
RUN_ELSEWHERE = {
    "make run": (REPRO, "test_a_second_run_does_nothing"),
    "imf run": (REPRO, "test_a_second_run_does_nothing"),
    "imf check examples/solar-system": (
        "cli/test_commands.py",
        "test_a_good_folder_is_checked_and_nothing_changes",
    ),
    "make test": ("test_docs.py", "test_every_command_is_held_by_something"),  # is in the gate
    "make gate": ("test_docs.py", "test_every_command_is_held_by_something"),  # the gate itself
    "dvc repro": (REPRO, "test_a_second_run_does_nothing"),
    "dvc exp run -S fusion.rank=64": (
        REPRO,
        "test_an_experiment_gives_another_model_and_is_restored_when_repeated",
    ),
    # Of another graph there.
    'imf ask "Nicaragua" "member of" -k 3': (
        ASK,
        "test_a_question_is_answered_by_a_table",
    ),
    'imf ask "?" "member of" "NATO"': (
        ASK,
        "test_the_head_is_asked_for_by_a_question_mark",
    ),
    'imf ask "Nicaragua" "?" "Costa Rica"': (
        ASK,
        "test_the_relation_is_asked_for_by_a_question_mark",
    ),
    'imf ask "Nicaragua" --neighbours': (ASK, "test_neighbours_are_listed_by_head"),
    'imf ask --description "An island state in the Caribbean." "currency"': (
        ASK,
        "test_a_new_entity_is_asked_about_by_text_and_image",
    ),
    r"printf 'Newland\tborders\tLaos\nNewland\tborders\tVietnam\n' > new.tsv": (
        ASK,
        "test_a_new_entity_is_asked_about_by_its_facts",
    ),
    'imf ask --facts new.tsv "Newland" "member of" -k 2': (
        ASK,
        "test_a_new_entity_is_asked_about_by_its_facts",
    ),
    "imf ask --queries questions.tsv --out answers.parquet": (
        ASK,
        "test_a_file_of_questions_is_answered",
    ),
    'imf ask --untrained examples/solar-system "Io" "orbits" -k 2 --reasons 3': (
        "cli/test_commands.py",
        "test_a_graph_is_asked_without_a_model_in_an_empty_folder",
    ),
    "imf check facts.tsv --out verdicts.parquet": (ASK, "test_a_file_of_facts_is_judged"),
    "imf check --train -k 50": (ASK, "test_suspicious_facts_of_train_are_listed"),
    "imf export --facts new.nt --above 0.8 --prefix https://example.org/": (
        ASK,
        "test_new_facts_and_embeddings_are_exported",
    ),
    "imf export --embeddings embeddings": (
        ASK,
        "test_new_facts_and_embeddings_are_exported",
    ),
    "imf export --model my-model": (TRAVELS, "test_the_code_of_the_page_runs"),
    'imf ask --model my-model "Earth" "orbits" -k 3': (
        TRAVELS,
        "test_a_packed_model_is_asked_in_a_folder_without_a_project",
    ),
    "imf serve": (SERVE, "test_a_packed_model_is_served_until_it_is_interrupted"),
    "imf serve --model FOLDER --port 9000": (
        SERVE,
        "test_a_packed_model_is_served_until_it_is_interrupted",
    ),
    "python -m recipes.type_check FOLDER/entity2type.txt": (
        "recipes/test_type_check.py",
        "test_facts_of_types_that_train_links_are_not_odd",
    ),
    "imf serve --curate": (
        "serve/test_curation_routes.py",
        "test_a_decision_is_a_line_of_the_file_with_probability_and_model",
    ),
    **dict.fromkeys(
        (
            "imf queue",
            'imf decide accept "Nicaragua" "member of" "OECD" --note "oecd.org"',
            'imf decide reject "Nicaragua" "member of" "APEC"',
            'imf decide withdraw "Nicaragua" "member of" "APEC"',
            "imf decide accept --file facts.tsv",
        ),
        (CURATION, "test_decisions_are_made_and_undone_on_the_command_line"),
    ),
    "imf export --accepted accepted.nt --prefix https://example.org/": (
        CURATION,
        "test_a_session_from_question_to_exported_fact",
    ),
    # What it would write is what stands there.
    "python -m recipes.table": (
        "recipes/test_results_table.py",
        "test_the_texts_show_what_the_stored_measurements_give",
    ),
}
"""The test of this folder that runs a command or its parts."""

RESULTS = {
    "dvc exp run $(python -m recipes db15k) image_features text_features": "network",
    "imf measure db15k": "network",
    "python -m recipes.curves": "network",
}
"""Requirements of the commands in the generated `docs/results.md`."""

NAMES_OF_THE_READER = {"HASH": "0" * 64, "COMMIT": "0" * 40}


class Command(NamedTuple):
    """A line of a page."""

    page: str
    line: str
    needs: str

    @property
    def words(self) -> list[str]:
        """Its words, without variables before it and without substitutions of a shell."""
        words = shlex.split(re.sub(r"\$\(.*?\)", "", self.line))
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        return words


def commands_of(page: Path) -> list[Command]:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"(?:<!-- needs: (.+?) -->\n)?```console\n(.*?)```", text, flags=re.DOTALL)
    found = []
    for needs, block in blocks:
        for line in re.findall(r"^\$ (.*)", block, flags=re.MULTILINE):
            bare = re.sub(r"\s+#\s.*", "", line)
            found.append(Command(page.name, bare, needs or RESULTS.get(bare, "")))
    return found


COMMANDS = [command for page in PAGES for command in commands_of(page)]


def of_program(*start: str) -> list[Command]:
    return [command for command in COMMANDS if command.words[: len(start)] == list(start)]


def is_checked(command: Command) -> bool:
    """Returns whether a check of its arguments suffices, since other tests run it."""
    return command.words[:3] in (["dvc", "exp", "run"], ["dvc", "repro", "--force"]) or (
        command.words[:3] == ["python", "-m", "pytest"]
    )


def test_nothing_is_left_to_fill_in() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert "@@" not in text
        assert "TODO" not in text


def test_every_link_within_the_project_leads_somewhere() -> None:
    missing = []
    for page in PAGES:
        for link, anchor in re.findall(
            r"\]\(([^)#]*)(#[^)]*)?\)", page.read_text(encoding="utf-8")
        ):
            target = page.parent / link if link else page
            if "://" in link or link.startswith("mailto:"):
                continue
            if not target.exists() or (anchor and anchor not in anchors_of(target)):
                missing.append(f"{page.name}: {link}{anchor}")
    assert missing == []


def anchors_of(page: Path) -> set[str]:
    """Returns GitHub's anchors of the headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {"#" + heading.replace(" ", "-") for heading in plain}


def test_the_modality_of_the_page_is_complete() -> None:
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(class SoundFeaturesParams.*?)```", page, flags=re.DOTALL)
    known = {"FeaturesParams": FeaturesParams, "Modality": Modality}
    exec(code, known)
    assert isinstance(known["MODALITY"], Modality)


def test_every_page_stands_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = [page for page in PAGES[1:] if page.name != "README.md"]
    assert [page.name for page in pages if f"({page.name})" not in index] == []


def test_every_stage_is_described() -> None:
    assert [stage for stage in STAGES if f"`{stage}`" not in README] == []


def test_every_command_is_held_by_something() -> None:
    loose = [
        command
        for command in COMMANDS
        if not command.needs
        and command.line not in RUN_HERE
        and command.line not in RUN_ELSEWHERE
        and not is_checked(command)
    ]
    assert loose == []


def test_nothing_is_held_that_no_page_says() -> None:
    lines = {command.line for command in COMMANDS}
    assert {*RUN_HERE, *RUN_ELSEWHERE, *RESULTS} - lines == set()


@pytest.mark.parametrize("line", RUN_ELSEWHERE)
def test_the_test_that_runs_a_command_exists(line: str) -> None:
    file, name = RUN_ELSEWHERE[line]
    assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", of_program("dvc"), ids=lambda command: command.line)
def test_dvc_understands_a_command(command: Command, tmp_path: Path) -> None:
    arguments = get_main_parser().parse_args(command.words[1:])
    is_of_files = command.words[1] == "add"
    stages = [] if is_of_files else getattr(arguments, "targets", None) or []
    assert set(stages) - STAGES.keys() == set()
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    overrides = getattr(arguments, "set_param", None) or []
    for name, value in NAMES_OF_THE_READER.items():
        overrides = [override.replace(name, value) for override in overrides]
    if overrides:
        apply_overrides(path, overrides)
    load_params(path)


def test_a_command_of_python_names_a_module() -> None:
    modules = {command.words[2] for command in of_program("python", "-m")}
    assert {module for module in modules if find_spec(module) is None} == set()


@pytest.mark.parametrize("command", of_program("imf"), ids=lambda command: command.line)
def test_imf_understands_a_command(command: Command) -> None:
    name, *words = command.words[1:]
    typer.main.get_command(app).commands[name].make_context(name, words)


def test_a_command_of_pytest_names_files() -> None:
    for command in of_program("python", "-m", "pytest"):
        assert all((ROOT / word).exists() for word in command.words[3:])


def test_a_command_of_make_names_a_target_and_its_variables() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in of_program("make"):
        assert f"\n{command.words[1]}:" in makefile
        for word in command.words[2:]:
            assert f"\n{word.split('=')[0]} ?=" in makefile


def test_a_command_names_recipes_and_rows_that_exist() -> None:
    for command in COMMANDS:
        for name in re.findall(r"(?:-m recipes|imf measure|NAME=) ?([\w-]+)", command.line):
            read_recipe(name)
        rows = re.findall(r"--rows? ((?:[a-z][\w-]* ?)+)", command.line)
        for name in " ".join(rows).split():
            find_row(name)


@pytest.mark.slow
def test_the_commands_that_only_look_run_as_they_stand(copied: Workspace) -> None:
    # The code of the workspace, also where `imf` is not installed.
    lines = ['imf() { python -m cli "$@"; }', *RUN_HERE]
    copied.run("bash", "-euc", "\n".join(lines))
    page = (copied.folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert "cdn." not in page
