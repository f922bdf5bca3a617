"""A model packed in one folder, and unseen entities of a loaded one."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from tiny_world import ROOT, small_params

import imf_core
from imf_core.base.errors import ConfigError, DataError, QuestionError
from imf_core.graph.feature_table import FeatureTable, save_features
from imf_core.graph.graph import Graph
from imf_core.graph.labels import save_graph
from imf_core.inference.answers import Question
from imf_core.inference.completer import Completer
from imf_core.inference.model_folder import (
    PROJECT_FEATURES,
    PROJECT_GRAPH,
    REMEDY,
    load_completer,
    pack,
)
from imf_core.inference.unseen_entity import UnseenEntity
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import save_calibration, save_model
from stages import paths

Tables = dict[str, FeatureTable]

QUESTIONS = [Question("e05", "speaks", None), Question(None, "speaks", "e19")]

FEATURE_PATHS = {name: paths.FEATURES[name] for name in ("image", "text")}
"""Of the modalities of the tiny graph."""


class LengthEncoder:
    """Encodes a text or a path by its length: three numbers more than none."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.given: list[list[object]] = []

    def encode(self, inputs: list[object]) -> torch.Tensor:
        self.given.append(list(inputs))
        rows = [torch.arange(self.size) * 0.1 + len(str(each)) for each in inputs]
        return torch.stack(rows).float()

    def save(self, folder: Path) -> None:
        pass


@pytest.fixture
def project(tmp_path: Path, graph: Graph, tables: Tables, trained: IMF) -> Path:
    """`results/model` of a project, with graph and features beside it."""
    folder = tmp_path / "project"
    model = folder / paths.MODEL
    save_graph(graph, graph.facts, folder / paths.GRAPH)
    for name, table in tables.items():
        save_features(table, graph.fingerprint, folder / FEATURE_PATHS[name])
    save_model(trained, model, graph, tables, small_params(), {"epochs": 3})
    calibration = Calibration(slope=0.5, offset=-0.2, shown=10, answers=9, true_answers=3)
    save_calibration(calibration, model)
    return folder


@pytest.fixture
def completer(project: Path) -> Completer:
    encoders = {"text": LengthEncoder(6), "image": LengthEncoder(5)}
    features = {name: project / path for name, path in FEATURE_PATHS.items()}
    return load_completer(
        project / paths.GRAPH,
        project / paths.MODEL,
        features,
        open_encoders=lambda _: encoders,  # type: ignore[arg-type, return-value]
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_packed_model_answers_as_the_one_of_the_run(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(completer, tmp_path / "packed")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    loaded = imf_core.load("../packed", "cpu")
    assert loaded.answer(QUESTIONS).equals(completer.answer(QUESTIONS))
    triples = [("e05", "speaks", "e20")]
    assert loaded.score(triples).equals(completer.score(triples))
    assert loaded.thresholds == completer.thresholds


def test_the_files_of_the_run_are_those_of_the_packed_model(
    completer: Completer, project: Path, tmp_path: Path
) -> None:
    pack(completer, tmp_path / "packed")
    packed = files_of(tmp_path / "packed")
    for name, content in files_of(project / paths.MODEL).items():
        assert packed[name] == content
    for name in ("entities", "relations", "triples"):
        assert (
            packed[f"graph/{name}.parquet"]
            == (project / paths.GRAPH / f"{name}.parquet").read_bytes()
        )
    pack(completer, tmp_path / "packed")  # replaces a packed model
    assert files_of(tmp_path / "packed") == packed


def test_a_folder_with_other_files_is_not_replaced(completer: Completer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is no packed model"):
        pack(completer, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["graph/train.txt", "features/mine.npy", "config.json", "model/notes.md"]
)
def test_a_folder_of_the_user_with_names_of_a_packed_model_is_not_replaced(
    name: str, completer: Completer, tmp_path: Path
) -> None:
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is no packed model"):
        pack(completer, tmp_path / "mine")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_a_file_or_link_is_not_replaced(kind: str, completer: Completer, tmp_path: Path) -> None:
    path, other = tmp_path / "model", tmp_path / "other"
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(other)
    if kind == "link":
        other.mkdir()
    with pytest.raises(ConfigError, match="is a file or a link and is not replaced"):
        pack(completer, path)
    assert path.is_symlink() or path.read_text() == "mine"


def test_a_model_with_unseen_entities_is_not_packed(completer: Completer, tmp_path: Path) -> None:
    extended = completer.with_unseen_entities([UnseenEntity(description="a text")])
    with pytest.raises(ConfigError, match="with unseen entities or new facts cannot be packed"):
        pack(extended, tmp_path / "packed")


def test_the_model_of_a_project_is_loaded_without_encoders(
    project: Path, completer: Completer
) -> None:
    assert (str(paths.GRAPH), str(FEATURE_PATHS["text"].parent)) == (
        PROJECT_GRAPH,
        PROJECT_FEATURES,
    )
    loaded = imf_core.load(project / paths.MODEL, "cpu")
    assert loaded.answer(QUESTIONS).equals(completer.answer(QUESTIONS))
    with pytest.raises(QuestionError, match="no encoder of text features here"):
        loaded.encode("a text")


def test_a_folder_without_a_model_is_refused(tmp_path: Path, project: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing", project, project / paths.GRAPH):
        with pytest.raises(DataError, match=r"is no packed model: .* `imf export --model FOLDER`"):
            imf_core.load(folder)


@pytest.mark.parametrize("name", ["thresholds.json", "config.json", "graph/triples.parquet"])
def test_a_missing_file_of_a_packed_model_is_named(
    name: str, completer: Completer, tmp_path: Path
) -> None:
    pack(completer, tmp_path / "packed")
    (tmp_path / "packed" / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing; copy the packed model"):
        imf_core.load(tmp_path / "packed")


@pytest.mark.parametrize("content", [b"", b"{}", b"no such file"])
def test_a_damaged_file_of_a_packed_model_is_named_with_the_remedy_of_a_packed_model(
    content: bytes, completer: Completer, tmp_path: Path
) -> None:
    pack(completer, tmp_path / "packed")
    for name, original in files_of(tmp_path / "packed").items():
        (tmp_path / "packed" / name).write_bytes(content)
        with pytest.raises((DataError, ConfigError), match=f"{name}.*; {re.escape(REMEDY)}$"):
            imf_core.load(tmp_path / "packed", "cpu")
        (tmp_path / "packed" / name).write_bytes(original)


@pytest.mark.parametrize("device", ["tpu", "cuda:77", "meta0"])
def test_a_device_that_is_not_there_is_refused(
    device: str, completer: Completer, tmp_path: Path
) -> None:
    pack(completer, tmp_path / "packed")
    with pytest.raises(ConfigError, match=f"device must be auto or a device .*'{device}'"):
        imf_core.load(tmp_path / "packed", device)


def test_the_package_is_imported_without_torch() -> None:
    program = "import sys, imf_core; print({'torch', 'pyarrow', 'numpy'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_texts_and_pictures_are_embedded_in_the_spaces_of_the_channels(
    completer: Completer,
) -> None:
    table = completer.encode(text=["one", "three"], image=["a.png", Path("bc.png")])
    assert table.column_names == ["visual", "textual", "fused"]
    assert table["textual"].type == pa.list_(pa.float32(), 8)
    alone = completer.encode(text="three")
    assert alone["textual"][0].as_py() == pytest.approx(table["textual"][1].as_py())
    assert alone["visual"].to_pylist() == [None]
    entities = [UnseenEntity("x", "three")]
    extended = completer.with_unseen_entities(entities)
    encoder = completer.encoders["text"]
    assert encoder.given[-1] == ["x. three"]  # type: ignore[attr-defined]
    assert extended.scorer.entities["textual"].shape[1] == 8


def test_a_graph_entity_and_its_own_features_have_one_embedding(
    completer: Completer, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = completer.encoders["text"]
    monkeypatch.setattr(encoder, "encode", lambda inputs: tables["text"].vectors[5:6])
    vector = torch.tensor(completer.encode(text="e05")["textual"][0].as_py())
    torch.testing.assert_close(vector, completer.scorer.entities["textual"][5])


@pytest.mark.parametrize(
    ("text", "image", "message"),
    [
        (None, None, "give texts, images or as many of both, got neither"),
        ([], [], "got neither"),
        (["a", "b"], "c.png", "got 1 images and 2 texts"),
    ],
)
def test_encode_takes_as_many_texts_as_images(
    text: list[str] | None, image: str | list[str] | None, message: str, completer: Completer
) -> None:
    with pytest.raises(QuestionError, match=message):
        completer.encode(text, image)


def test_many_unseen_entities_are_added_as_one_by_one(completer: Completer) -> None:
    entities = [
        UnseenEntity("first", "a text"),
        UnseenEntity("second", image=Path("a.png")),
        UnseenEntity("third", "another text", Path("b.png")),
    ]
    together = completer.with_unseen_entities(entities)
    chained = completer.with_unseen_entities(entities[:1]).with_unseen_entities(entities[1:])
    for entity in entities:
        question = Question(entity.name, "speaks", None)
        alone = completer.with_unseen_entities([entity]).answer([question], 5)
        for extended in (together, chained):
            found = extended.answer([question], 5)
            assert found["tail"].to_pylist() == alone["tail"].to_pylist()
            assert found["probability"].to_pylist() == pytest.approx(
                alone["probability"].to_pylist(), rel=1e-3
            )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x", "x"], "two unseen entities are called 'x'; give each a name"),
        (["", ""], "two unseen entities have no name; give each a name"),
        (["e05"], "the graph has 'e05' already"),
        ([], "give unseen entities, facts or both"),
    ],
)
def test_unseen_entities_must_have_names_of_their_own(
    names: list[str], message: str, completer: Completer
) -> None:
    with pytest.raises(QuestionError, match=message):
        completer.with_unseen_entities([UnseenEntity(name, "a text") for name in names])


@pytest.mark.parametrize("name", ["curation", "question_file", "untrained"])
def test_answers_are_imported_without_packages_of_the_web(name: str) -> None:
    web = {"aiohttp", "yarl"}
    program = f"import sys, imf_core.inference.{name}; print({web} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
