"""Commands in messages that turn a refused feature file into one that fits, quoted for a shell."""

import json
import math
import shlex
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np


def python_command(program: str) -> str:
    """Returns a shell command that runs a Python program, quoted against expansion."""
    return f"python -c {shlex.quote(program)}"


def literal(text: str) -> str:
    """Returns a Python string literal in double quotes, for single quotes of the shell."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


_TRUST = "if you trust its source, since such files can hold code, "
_TO_NPY = 'np.save("features.npy", {})'
_TO_PARQUET = 'pd.DataFrame({{"entity": {}, "vector": {}}}).to_parquet("features.parquet")'
_PAIRS = _TO_PARQUET.format("list(d)", "[list(map(float, v)) for v in d.values()]")
"""For a dictionary of labels and vectors."""

# Format -> a condition, the imports, an expression for the array.
_ARRAYS = {
    "torch": (
        "",
        "torch",
        'torch.load({file}, map_location="cpu", weights_only=True).float().numpy()',
    ),
    "pickle": (
        _TRUST,
        "pathlib, pickle",
        "np.asarray(pickle.loads(pathlib.Path({file}).read_bytes()), np.float32)",
    ),
    "npz": ("", "", 'np.load({file})["NAME"].astype(np.float32)'),
    "hdf5": ("", "h5py", 'h5py.File({file})["NAME"][:].astype(np.float32)'),
    "matlab": ("", "scipy.io", 'scipy.io.loadmat({file})["NAME"].astype(np.float32)'),
    "safetensors": (
        "",
        "safetensors.numpy as s",
        's.load_file({file})["NAME"].astype(np.float32)',
    ),
    "text": ("", "", "np.loadtxt({file}, dtype=np.float32)"),
}
_TABLES = {
    "csv": "pd.read_csv({file})",
    "tsv": 'pd.read_csv({file}, sep="\\t")',
    "feather": "pd.read_feather({file})",
}
_SUFFIXES = {
    **dict.fromkeys([".pt", ".pth", ".bin", ".ckpt"], "torch"),
    **dict.fromkeys([".pkl", ".pickle", ".p"], "pickle"),
    ".npz": "npz",
    **dict.fromkeys([".h5", ".hdf5", ".hdf"], "hdf5"),
    ".mat": "matlab",
    ".safetensors": "safetensors",
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    **dict.fromkeys([".feather", ".arrow"], "feather"),
}


def conversion(path: Path) -> str:
    """Returns advice for a file of another format, recognised by its first bytes or its name."""
    kind = _kind(path) or _SUFFIXES.get(path.suffix.lower())
    if kind in _TABLES:
        read = _TABLES[kind].format(file=literal(str(path)))
        rows = 't.iloc[:, 1:].astype("float32").values.tolist()'
        table = _TO_PARQUET.format("t.iloc[:, 0].astype(str)", rows)
        return (
            "where its first column is the label and the others are numbers, convert it with: "
            + python_command(f"import pandas as pd; t = {read}; {table}")
        )
    if kind is None:
        return f"load it as its makers say and save a plain array: {_TO_NPY.format('vectors')}"
    trust, modules, array = _ARRAYS[kind]
    program = f"import numpy as np{', ' * bool(modules)}{modules}; "
    advice = f"{trust}convert it with: " + python_command(
        program + _TO_NPY.format(array.format(file=literal(str(path))))
    )
    if kind in {"torch", "pickle"}:
        advice += f"; where it is a dictionary d of labels and vectors: {_PAIRS}"
    return advice


def reshaping(shape: tuple[int, ...], num_entities: int, path: Path) -> str:
    """Returns advice for an array without ids that has not the shape (entities, numbers).

    Args:
        shape: Shape of the array.
        num_entities: E.
        path: The file.

    Returns:
        A sentence to follow a semicolon.
    """
    size, load = math.prod(shape), f"np.load({literal(str(path))})"
    dim = size // num_entities if num_entities and size % num_entities == 0 else 0
    squeezed = tuple(length for length in shape if length != 1)
    is_row_each = squeezed == tuple(length for length in (num_entities, dim) if length != 1)
    if dim and (is_row_each or len(shape) == 1):
        return f"reshape it: {_saved(f'{load}.reshape({num_entities}, {dim})')}"
    if squeezed == (dim, num_entities):
        return f"turn it round: {_saved(f'{load}.reshape({dim}, {num_entities}).T')}"
    if dim and len(squeezed) > 2 and squeezed[0] == num_entities:
        axes = tuple(range(1, len(squeezed) - 1)) if len(squeezed) == 3 else (2, 3)
        mean = f"{load}.reshape{squeezed}.mean(axis={axes})"
        return (
            f"average each entity's vectors, {_saved(mean)}, or put them side by side, "
            f"{_saved(f'{load}.reshape({num_entities}, {dim})')}"
        )
    return (
        "say whose each row is: Parquet with the columns entity and vector, one row for each "
        "vector; several rows of an entity are averaged"
    )


def plain_floats(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> str:
    """Returns advice for an array of another type than floats."""
    if dtype.kind != "O":
        return _saved(f"np.load({literal(str(path))}).astype(np.float32)")
    load = f"np.load({literal(str(path))}, allow_pickle=True)"
    if not shape:
        return f"{_TRUST}a dictionary of labels and vectors: " + python_command(
            f"import numpy as np, pandas as pd; d = {load}.item(); {_PAIRS}"
        )
    return _TRUST + _saved(f"np.stack([np.asarray(v, np.float32) for v in {load}])")


def _kind(path: Path) -> str | None:
    """Recognises a format by the first bytes of a file; None if unknown."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        try:
            with ZipFile(path) as archive:
                names = archive.namelist()
        except (BadZipFile, OSError, ValueError):
            return None
        return "torch" if any(name.endswith("/data.pkl") for name in names) else "npz"
    if start.startswith(b"\x89HDF"):
        return "hdf5"
    return "pickle" if start[:1] == b"\x80" and start[1:2] in {b"\2", b"\3", b"\4", b"\5"} else None


def _saved(array: str) -> str:
    return python_command(f"import numpy as np; {_TO_NPY.format(array)}")
