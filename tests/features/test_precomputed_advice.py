"""The commands in the errors of refused feature files work: their output is accepted."""

import ast
import hashlib
import pickle
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from feature_inputs import Workspace
from safetensors.numpy import save_file

from imf_core.base.errors import ConfigError, DataError, ModelUnavailableError
from imf_core.base.modality import PrecomputedParams
from imf_core.features.shared.model_files import ModelSource, check_model_files
from imf_core.features.shared.precomputed import write_precomputed_features
from imf_core.features.shared.precomputed_advice import literal, python_command

MakeWorkspace = Callable[..., Workspace]
VECTORS = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def place(workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A graph of the entities e0, e1 and e2, its folder the working folder."""
    made = workspace(3)
    monkeypatch.chdir(made.root)
    return made


def take(place: Workspace, path: Path) -> list[list[float]]:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    params = PrecomputedParams(path=str(path), sha256=sha256)
    found = write_precomputed_features("image_features", place.entities, params, place.output)
    rows: list[list[float]] = found.features.vectors.tolist()
    return rows


def follow(place: Workspace, path: Path) -> list[list[float]]:
    """Runs the command in the error of a refused file, and reads its output."""
    with pytest.raises((ConfigError, DataError)) as caught:
        take(place, path)
    exec(compile(pasted_program(str(caught.value)), "advice", "exec"), {})
    made = next(place.root.glob("features.[np]*"))
    return take(place, made)


def pasted_program(message: str) -> str:
    """Returns the program that Python gets if a shell runs the command of the message."""
    _, found, command = message.partition("python -c ")
    assert found, message
    parts = shlex.shlex(command, posix=True, punctuation_chars=False)
    parts.whitespace_split, parts.commenters = True, ""
    program = next(parts).rstrip(";,")  # a sentence may go on behind the closing quote
    ast.parse(program)
    return program


def npy(place: Workspace, array: np.ndarray) -> Path:
    np.save(place.root / "ready.npy", array)
    return place.root / "ready.npy"


@pytest.mark.parametrize(
    "shape", [(3, 1, 4), (3, 4, 1), (1, 3, 4), (3, 4, 1, 1), (1, 3, 1, 4), (12,)]
)
def test_an_array_with_axes_too_many_or_few_is_reshaped(
    shape: tuple[int, ...], place: Workspace
) -> None:
    assert follow(place, npy(place, VECTORS.reshape(shape))) == VECTORS.tolist()


def test_one_number_each_is_reshaped(place: Workspace) -> None:
    assert follow(place, npy(place, np.array([1.0, 2.0, 3.0]))) == [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize("shape", [(4, 3), (1, 4, 3)])
def test_an_array_that_is_turned_is_turned_back(shape: tuple[int, ...], place: Workspace) -> None:
    assert follow(place, npy(place, VECTORS.T.reshape(shape))) == VECTORS.tolist()


def test_several_vectors_of_an_entity_are_averaged(place: Workspace) -> None:
    array = np.stack([VECTORS - 1, VECTORS + 1], axis=1)
    assert follow(place, npy(place, array)) == VECTORS.tolist()


def test_maps_of_channels_are_averaged_over_places(place: Workspace) -> None:
    array = np.repeat(VECTORS, 6, axis=1).reshape(3, 4, 2, 3)
    assert follow(place, npy(place, array)) == VECTORS.tolist()


@pytest.mark.parametrize("shape", [(4, 5), (2, 5), (12, 1), (5,), (2, 2, 2), ()])
def test_an_array_that_fits_in_no_way_asks_for_labels(
    shape: tuple[int, ...], place: Workspace
) -> None:
    with pytest.raises(DataError, match="say whose each row is: Parquet with the columns entity"):
        take(place, npy(place, np.ones(shape)))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.longdouble])
def test_other_numbers_are_converted(dtype: type, place: Workspace) -> None:
    assert follow(place, npy(place, VECTORS.astype(dtype))) == VECTORS.tolist()


def test_a_list_of_vectors_saved_as_objects_is_converted(place: Workspace) -> None:
    array = np.empty(3, object)
    array[:] = list(VECTORS)
    assert follow(place, npy(place, array)) == VECTORS.tolist()


def test_a_dictionary_saved_as_an_object_is_converted(place: Workspace) -> None:
    array = np.array({f"e{i}": row for i, row in enumerate(VECTORS)})
    assert follow(place, npy(place, array)) == VECTORS.tolist()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".npy"])
def test_a_tensor_of_pytorch_is_converted(suffix: str, place: Workspace) -> None:
    path = place.root / f"ready{suffix}"
    torch.save(torch.from_numpy(VECTORS.copy()), path)
    assert follow(place, path) == VECTORS.tolist()


HOSTILE = [
    "it's $(touch hit).pt",
    'say "`touch hit`".pt',
    "'\";touch hit;#.pt",
    "a 'b' \\ \n$HOME !!.pt",
    "ünï {file} \U0001f600 \x1b.pt",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_command_takes_any_file_name_and_runs_nothing_in_it(name: str, place: Workspace) -> None:
    path = place.root / name
    torch.save(torch.from_numpy(VECTORS.copy()), path)
    assert follow(place, path) == VECTORS.tolist()


@pytest.mark.parametrize("name", [*HOSTILE, "\udcff.pt"])
def test_a_shell_gives_python_the_program_as_it_is(name: str) -> None:
    program = f"import sys; print({literal(name)})"
    assert shlex.split(python_command(program)) == ["python", "-c", program]
    assert ast.literal_eval(literal(name)) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_the_command_for_pickled_weights_takes_any_directory(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").touch()
    source = ModelSource("text_features", str(folder), None, "builtin:tfidf-svd")
    with pytest.raises(ModelUnavailableError, match="only safetensors are loaded") as caught:
        check_model_files(source)
    assert literal(str(folder)) in pasted_program(str(caught.value))


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".npy"])
def test_a_pickle_is_converted_after_a_word_of_trust(suffix: str, place: Workspace) -> None:
    path = place.root / f"ready{suffix}"
    path.write_bytes(pickle.dumps(VECTORS))
    with pytest.raises((ConfigError, DataError), match="if you trust its source"):
        take(place, path)
    assert follow(place, path) == VECTORS.tolist()


def test_an_archive_of_numpy_is_converted(place: Workspace) -> None:
    path = place.root / "ready.npz"
    np.savez(path, NAME=VECTORS)
    assert follow(place, path) == VECTORS.tolist()


def test_safetensors_are_converted(place: Workspace) -> None:
    path = place.root / "ready.safetensors"
    save_file({"NAME": VECTORS}, path)
    assert follow(place, path) == VECTORS.tolist()


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_table_of_text_is_converted(suffix: str, place: Workspace) -> None:
    path = place.root / f"ready{suffix}"
    table = pd.DataFrame(VECTORS)
    table.insert(0, "entity", ["e0", "e1", "e2"])
    table.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    assert follow(place, path) == VECTORS.tolist()


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_hdf5_names_its_reader(suffix: str, place: Workspace) -> None:
    path = place.root / f"ready{suffix}"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ConfigError, match=r"must end in \.parquet or \.npy.*h5py\.File\("):
        take(place, path)


def test_an_unknown_format_asks_for_a_plain_array(place: Workspace) -> None:
    path = place.root / "ready.xyz"
    path.write_bytes(b"?")
    with pytest.raises(ConfigError, match=r"save a plain array: np\.save"):
        take(place, path)


@pytest.mark.parametrize("name", ["entity", "vector"])
def test_a_column_that_occurs_twice_is_named(name: str, place: Workspace) -> None:
    columns = [pa.array(["e0"]), pa.array([[1.0]])]
    twice = columns[0] if name == "entity" else columns[1]
    path = place.root / "ready.parquet"
    pq.write_table(pa.table([*columns, twice], names=["entity", "vector", name]), path)
    with pytest.raises(DataError, match=rf"ready\.parquet has the column {name} 2 times"):
        take(place, path)


def test_a_folder_in_place_of_the_file_is_named(place: Workspace) -> None:
    (place.root / "ready.parquet").mkdir()
    params = PrecomputedParams(path="ready.parquet", sha256="0" * 64)
    with pytest.raises(DataError, match=r"ready\.parquet is not a file"):
        write_precomputed_features("image_features", place.entities, params, place.output)
