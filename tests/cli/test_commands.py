"""The command `imf`: its help, its start, its folder, and the check of a user's graph."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from tiny_world import ROOT

from cli import __main__ as imf
from cli import ask as asking
from cli import examples
from cli.ask import read_unseen
from cli.command import PROJECT_FILES
from imf_core.base.errors import QuestionError
from recipes import measure
from stages import INTERRUPT_MESSAGE

COMMANDS = typer.main.get_command(imf.app).commands

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Returns a function that runs a command and returns its status, output and errors."""
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))

    def call(*words: str) -> tuple[int, str, str]:
        status = 0
        try:
            imf.call(words)
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder without a run, as working folder."""
    for name in PROJECT_FILES:
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_installed_command_is_the_module() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert list(scripts) == ["imf"]
    assert EntryPoint("imf", scripts["imf"], "console_scripts").load() is imf.main


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_that_the_command_understands(
    name: str, run: Run
) -> None:
    status, printed, _ = run(name, "--help")
    assert status == 0
    examples = printed.split("\nExamples:\n")[1].strip().splitlines()
    assert examples[0].split()[:2] == ["imf", name]
    for example in examples:
        program, *words = shlex.split(example, comments=True)
        if program == "imf":
            COMMANDS[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_the_help_lists_every_command_with_a_whole_sentence(words: list[str], run: Run) -> None:
    status, printed, _ = run(*words)
    listed = dict(line.split(maxsplit=1) for line in printed.split("Commands:\n")[1].splitlines())
    assert status == 0
    assert list(listed) == list(COMMANDS)
    assert all(text.endswith(".") and not text.endswith("...") for text in listed.values())


@pytest.mark.parametrize("words", [["--help"], ["ask", "--help"], ["ask", "--out", "a.parquet"]])
def test_help_and_refused_options_load_no_large_library(words: list[str]) -> None:
    program = (
        "import sys\nfrom cli.__main__ import call\n"
        "try: call(sys.argv[1:])\n"
        "finally: print({'torch', 'prefect', 'dvc', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("set()\n")


def test_outside_a_project_an_error_names_the_folder_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    for name in COMMANDS:
        if name not in ("measure", "decide"):  # which take arguments
            assert run(name) == (
                2,
                "",
                f"error: {tmp_path} is not the folder of a project: it has no dvc.yaml; go to your "
                f"copy of the project (`cd FOLDER`) and run `imf {name}` there\n",
            )
    assert list(tmp_path.iterdir()) == [tmp_path / "params.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shwo"], "No such command 'shwo'. Did you mean 'show'?"),
        (["ask", "Earth", "--neighbors"], "No such option: --neighbors"),
        (["ask", "-k", "0"], "-k must be a positive number, got 0"),
        (["ask", "-k", "x", "a", "b"], "'-k': must be a whole number, got x"),
        (["ask"], 'give HEAD RELATION, "?" RELATION TAIL or HEAD "?" TAIL, got nothing'),
        (["ask", "Earth"], 'give HEAD RELATION, "?" RELATION TAIL or HEAD "?" TAIL, got Earth'),
        (["ask", "Sun", "orbits", "Sun"], "TAIL, got Sun orbits Sun"),
        (["ask", "?", "orbits", "?"], "TAIL, got ? orbits ?"),
        (["ask", "--description", "A moon.", "?", "orbits", "Sun"], "give RELATION, "),
        (["ask", "--queries", "q.parquet", "--out", "./q.parquet"], "is the same file"),
        (["ask", "--queries", "q.tsv", "--out", "o.csv"], "must end in .parquet, got o.csv"),
        (["ask", "--description", "", "orbits"], "--description must not be empty"),
        (["ask", "--untrained", "g", "a"], "TAIL, got a"),
        (["ask", "--untrained", "g", "--neighbours", "a"], "--untrained takes a question, -k,"),
        (["ask", "--untrained", "g", "--model", "m", "a", "b"], "--untrained takes a question"),
        (["ask", "--untrained", "g", "a", "?", "b"], "needs a trained model: `imf run` trains"),
        (["check"], "give either PATH or --train"),
        (["check", "facts.tsv", "--train"], "give either PATH or --train"),
        (["check", "--train", "-k", "0"], "-k must be a positive number, got 0"),
        (["check", "mine", "--out", "v.parquet"], "require --train or a file of facts"),
        (["check", "people.nt", "--model", "m"], "require --train or a file of facts"),
        (["check", "facts.tsv", "--out", "v.csv"], "must end in .parquet, got v.csv"),
        (["check", "f.parquet", "--out", "./f.parquet"], "is the same file as PATH"),
        (["export"], "give --facts FILE, --accepted FILE, "),
        (["export", "--embeddings", "folder", "--above", "0.5"], "requires --facts FILE"),
        (["export", "--facts", "new.tsv", "--above", "nan"], "must be in [0, 1], got nan"),
        (["export", "--facts", "new.tsv", "--above", "x"], "'--above': must be a number, got x"),
        (["export", "--facts", "new.tsv", "--prefix", "https://x.org/"], "ends in .nt, got new"),
        (["forget"], "choose what to request again: --failed, --older-than-days DAYS or both"),
        (["forget", "--older-than-days", "0"], "must be from 1 to 3650, got 0"),
        (["ui", "--port", "0"], "--port must be from 1 to 65535, got 0"),
        (["ui", "--port", "65536"], "--port must be from 1 to 65535, got 65536"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    words: list[str], message: str, project: Path, run: Run
) -> None:
    status, printed, errors = run(*words)
    assert (status, printed) == (2, "")
    assert errors.startswith("error: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert sorted(path.name for path in project.iterdir()) == ["dvc.yaml", "params.yaml"]


@pytest.mark.parametrize("asked_first", ["typer", "stages.runner"])
def test_an_interrupt_during_the_imports_ends_in_one_line(asked_first: str) -> None:
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {asked_first!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['imf', 'show']\n"
        "from cli.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"{INTERRUPT_MESSAGE}\n"


@pytest.mark.parametrize("name", ["show", "ask"])
def test_before_a_first_run_an_error_names_the_remedy(name: str, project: Path, run: Run) -> None:
    status, _, errors = run(name, *({"ask": ["Earth", "orbits"]}.get(name, [])))
    assert status == 1
    assert errors.startswith("error: ")


def test_options_of_several_values_reach_the_measurement(
    project: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    given: list[object] = []
    monkeypatch.setattr(measure, "measure", lambda *arguments: given.append(arguments))
    run("measure", "atlas", "--rows", "structure", "full", "--seeds", "0", "1", "--again")
    run("measure", "--seeds", "2", "--set", "train.n3=1", "--set", "model.dim=8", "atlas")
    assert given == [
        ("atlas", ["structure", "full"], [0, 1], [], True),
        ("atlas", None, [2], ["train.n3=1", "model.dim=8"], False),
    ]


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Returns the time and content of each file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_good_folder_is_checked_and_nothing_changes(project: Path, run: Run) -> None:
    shutil.copytree(ROOT / "examples/solar-system", project / "mine")
    before = snapshot(project)
    status, printed, _ = run("check", "mine")
    assert status == 0
    assert "folder: 137 entities, 9 relations, 336 train / 42 valid / 42 test facts" in printed
    assert "\nEntities with:\n  a name: 137 (100.0%)\n" in printed
    assert "set dataset.name: folder and dataset.path: mine in params.yaml" in printed
    assert "warning: " not in printed
    assert snapshot(project) == before


def test_each_issue_of_a_folder_is_printed_once(
    project: Path, make_folder: Callable[..., Path], ring_facts: list[str], run: Run
) -> None:
    folder = make_folder({"train.txt": [*ring_facts, "E00 r1 e05"], "notes.md": "mine"})
    status, printed, _ = run("check", str(folder))
    warnings = [line for line in printed.splitlines() if line.startswith("warning: ")]
    assert status == 0
    assert any("notes.md" in line for line in warnings)
    assert len(warnings) == len(set(warnings))


def test_a_dump_is_checked_with_its_own_format(
    project: Path, ring_facts: list[str], run: Run
) -> None:
    triples = (f"<https://x.org/{w}>" for fact in ring_facts for w in fact.split())
    lines = [" ".join([*each, "."]) for each in zip(*[iter(triples)] * 3, strict=True)]
    (project / "ring.nt").write_text("\n".join(lines) + "\n")
    status, printed, _ = run("check", "ring.nt")
    assert status == 0
    assert "ring.nt: 36 facts" in printed
    assert "set dataset.name: rdf and dataset.path: ring.nt" in printed


@pytest.mark.parametrize(
    ("files", "counts", "issue", "message"),
    [
        (["train.txt"], "2 train / 0 valid / 0 test", "lines repeat", "can be held out for test"),
        (
            ["train.txt", "valid.txt", "test.txt"],
            "2 train / 2 valid / 2 test",
            "the files of train and test hold the same facts",
            "test holds the same facts as train",
        ),
    ],
)
def test_a_graph_that_cannot_be_split_is_counted_before_the_error(
    files: list[str],
    counts: str,
    issue: str,
    message: str,
    project: Path,
    make_folder: Callable[..., Path],
    run: Run,
) -> None:
    facts = ["a knows b", "b knows c", "b knows c"]
    status, printed, errors = run("check", str(make_folder(dict.fromkeys(files, facts))))
    assert status == 1
    assert f"folder: 3 entities, 1 relations, {counts} facts" in printed
    assert issue in printed
    assert "LEAK" not in printed
    assert "\nLines as they come:\n  entities: 3\n" in printed
    assert "Facts as prepared" not in printed
    assert errors.startswith("error: ")
    assert message in errors
    assert "Nothing was changed" not in printed


def test_a_given_valid_that_is_not_used_is_named_where_none_can_be_held_out(
    project: Path, make_folder: Callable[..., Path], run: Run
) -> None:
    facts = {"train.txt": ["a knows b", "b knows c"], "valid.txt": ["a knows b"]}
    status, _, errors = run("check", str(make_folder({**facts, "test.txt": ["a knows c"]})))
    assert status == 1
    assert "a valid.txt without facts of train and test: too many of its lines" in errors


@pytest.mark.parametrize("name", ["facts.csv", "facts", "facts.dat"])
def test_a_file_of_another_kind_is_refused_with_the_kinds_that_are_read(
    name: str, project: Path, run: Run
) -> None:
    (project / name).write_text("a,b,c\n")
    status, printed, errors = run("check", name)
    assert (status, printed) == (1, "")
    assert f"{name} must be a folder with train.txt, an RDF file (.nt, " in errors
    assert "tab-separated text that ends in .tsv: head, relation, tail" in errors


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "there is no folder or file"),
        ({"notes.md": "mine"}, "train"),
        ({"train.txt": "a,b,c\n"}, "train.txt"),
    ],
)
def test_a_bad_folder_ends_in_one_line_that_names_it(
    files: dict[str, object] | None,
    message: str,
    project: Path,
    make_folder: Callable[..., Path],
    run: Run,
) -> None:
    folder = project / "nothing" if files is None else make_folder(files)
    before = snapshot(project)
    status, printed, errors = run("check", str(folder))
    assert (status, printed) == (1, "")
    assert errors.startswith("error: ")
    assert str(folder) in errors
    assert message in errors
    assert errors.count("\n") == 1
    assert snapshot(project) == before


@pytest.mark.parametrize("status", [0, 255])
def test_a_run_calls_dvc_with_its_own_python_and_shows_results_if_all_stages_ended(
    status: int, project: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def note(word: str) -> None:
        lines = (project / "called").read_text().splitlines()
        (project / "called").write_text("\n".join([*lines[:-1], word, lines[-1]]))

    shown: list[str] = []
    monkeypatch.setattr(imf, "show", lambda: shown.append("results"))
    (project / "dvc").mkdir()
    (project / "dvc/__init__.py").touch()
    (project / "dvc/__main__.py").write_text(
        "import os, shutil, sys\n"
        "before = open('called').read().splitlines()[:-1] if os.path.exists('called') else []\n"
        "found = [*before, ' '.join(sys.argv[1:]), shutil.which('python')]\n"
        f"open('called', 'w').write('\\n'.join(found)); sys.exit({status})\n"
    )
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(examples, "show_examples", lambda: note("examples"))
    ended, _, errors = run("run")
    *called, python = (project / "called").read_text().splitlines()
    assert called == (["repro prepare"] if status else ["repro prepare", "examples", "repro"])
    assert Path(python).parent == Path(sys.executable).parent
    assert shown == ([] if status else ["results"])
    assert ended == (1 if status else 0)
    assert ("`dvc repro prepare` ended with status 255" in errors) == bool(status)


def test_the_inputs_of_a_new_entity_are_read_by_modality() -> None:
    unseen = read_unseen("Ida", None, Path("ida.png"), ["numeric=born 1861", "text=A poet."])
    assert (unseen.label, unseen.inputs) == (
        "Ida",
        {"numeric": "born 1861", "text": "Ida. A poet.", "image": "ida.png"},
    )


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (
            ["sound=a.wav"],
            "--with must be one of image=.*, got 'sound=a.wav'",
        ),
        (["numeric="], "--with numeric=INPUT needs an input"),
        (["numeric"], "--with numeric=INPUT needs an input"),
        (["image=b.png"], "a new entity has one image, got a.png and b.png"),
        (["numeric=a 1", "numeric=b 2"], "a new entity has one numeric, got a 1 and b 2"),
    ],
)
def test_unknown_and_repeated_inputs_of_a_new_entity_are_refused(
    further: list[str], message: str
) -> None:
    with pytest.raises(QuestionError, match=message):
        read_unseen("", None, Path("a.png"), further)


UNTRAINED = "These answers come from a network that was not trained on this graph"


@pytest.mark.slow
def test_a_graph_is_asked_without_a_model_in_an_empty_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cli", "ask", "--untrained"),
            *(str(ROOT / "examples/solar-system"), "Io", "orbits", "-k", "2"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[1] == "Io - orbits - ?"
    assert lines[3].startswith(UNTRAINED)
    assert lines[4] == "The graph gives 1: Jupiter"
    assert [line.split()[0] for line in lines[7:] if re.match(r" +\d", line)] == ["1", "2"]
    assert list(tmp_path.iterdir()) == []


def test_a_head_question_without_a_model_shows_reasons_and_escapes_names(
    tmp_path: Path, make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    people = range(24)
    facts = [f"p{each} born c{each % 8}" for each in people]
    facts += [f"c{each} in n{each % 4}" for each in range(8)]
    facts += [f"p{each} citizen n{each % 4}" for each in people[1:]]
    folder = make_folder({"train.txt": facts, "entity2name.txt": "p0\tA\x1b[31mda\nc0\tC\u202e0\n"})
    before = snapshot(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    ask = ("ask", "--untrained", str(folder), "-k", "1")
    status, printed, errors = run(*ask, "?", "citizen", "n0")
    assert (status, errors) == (0, "")
    assert "\x1b" not in printed
    assert "A\\x1b[31mda" in printed
    status, printed, _ = run(*ask, "p0", "citizen")
    assert "A\\x1b[31mda - born - C\\u202e0; C\\u202e0 - in - n0 (weight 0." in printed
    assert (snapshot(folder), list(empty.iterdir())) == (before, [])


def test_a_graph_without_a_model_names_what_is_wrong_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for path, message in (("nothing", "there is no folder or file nothing"), ("mine", "train.txt")):
        status, printed, errors = run("ask", "--untrained", path, "a", "b")
        assert (status, printed) == (1, "")
        assert message in errors
        assert errors.count("\n") == 1
    graph = str(ROOT / "examples/solar-system")
    status, printed, errors = run("ask", "--untrained", graph, "Erth", "orbits")
    assert (status, printed) == (1, "")
    assert errors.startswith("error: no entity has the label or name 'Erth'; nearest are 'earth'")


def test_labels_that_look_alike_are_a_warning_in_check_and_without_a_model(
    project: Path, make_folder: Callable[..., Path], ring_facts: list[str], run: Run
) -> None:
    folder = str(make_folder({"train.txt": [*ring_facts, "\u043500 r1 e05"]}))
    _, checked, _ = run("check", folder)
    status, printed, errors = run("ask", "--untrained", folder, "e00", "r1", "-k", "1")
    assert status == 0
    assert r"'e00' and '\u043500'" in errors
    assert errors in checked
    assert "warning" not in printed


def test_a_long_answer_is_announced_with_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(asking, "NOTICE_SECONDS", 0.0)
    graph = str(ROOT / "examples/solar-system")
    status, printed, errors = run(
        *("ask", "--untrained", graph, "Io", "orbits", "-k", "1", "--reasons", "0")
    )
    assert status == 0
    assert "(weight " not in printed
    assert "no path" not in printed
    assert errors.startswith("137 entities and 420 facts: this takes about")
