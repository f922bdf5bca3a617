"""Small graphs in the folder format, and the directory of real source files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.config import PrepareParams

SHARED = Path(__file__).parents[2] / "../shared"

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Returns a function that writes a folder; a list of rows becomes a tab-separated file."""

    def make(files: dict[str, object], name: str = "source") -> Path:
        folder = tmp_path / name
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = content if isinstance(content, list) else []
            text = "".join("\t".join(row.split()) + "\n" for row in rows) or content
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        folder.mkdir(exist_ok=True)
        return folder

    return make


@pytest.fixture
def prepare_params() -> PrepareParams:
    return PrepareParams(
        split="leak-free", test="as-given", valid_fraction=0.1, test_fraction=0.1, seed=0
    )


@pytest.fixture
def ring_facts() -> list[str]:
    """Twelve entities, each linked to the next three by one relation each: 36 pairs."""
    return [f"e{i:02} r{step} e{(i + step) % 12:02}" for i in range(12) for step in (1, 2, 3)]


@pytest.fixture
def mirror() -> Path:
    """The directory with copies of public source files."""
    path = SHARED / "mirror"
    if not path.is_dir():
        pytest.skip(f"the mirror of public source files is not at {path}")
    return path
