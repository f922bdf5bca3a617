"""The weights of the package, and weights that a user names."""

import tomllib
from pathlib import Path

import huggingface_hub
import pytest
import torch
from tiny_world import ROOT
from torch import Tensor

from imf_core.base.errors import ConfigError, DataError, ModelUnavailableError
from imf_core.paths import pretrained
from imf_core.paths.network import PathNetwork, PathSpec, save_paths
from imf_core.paths.path_graph import build_path_graph
from imf_core.paths.pretrained import WEIGHTS, find_network, load_pretrained

COUNTRIES, CITIES = 10, 40
REVISION = "0123456789abcdef0123456789abcdef01234567"


def make_triples() -> Tensor:
    """Cities lie in countries, people in cities and in their countries."""
    cities = torch.arange(CITIES)
    city, country, person = COUNTRIES + cities, cities % COUNTRIES, COUNTRIES + CITIES + cities
    facts = [(city, 0, country), (person, 1, city), (person, 2, country)]
    return torch.cat([torch.stack([h, h * 0 + r, t], dim=1) for h, r, t in facts])


def test_the_weights_of_the_package_find_hidden_facts_of_an_unseen_graph() -> None:
    network, triples = load_pretrained(), make_triples()
    assert not network.training
    hidden = triples[-CITIES:][::8]
    is_hidden = (triples[:, None] == hidden).all(dim=2).any(dim=1)
    graph = build_path_graph(triples[~is_hidden], COUNTRIES + 2 * CITIES, 3)
    scores = network.score(graph, hidden[:, :2])
    true = scores.gather(1, hidden[:, 2:])
    ranks = (scores >= true).sum(dim=1)
    assert float((1 / ranks).mean()) > 0.5  # chance: 0.06


def test_the_weights_are_small_and_packed_with_their_card() -> None:
    assert WEIGHTS.stat().st_size < 400_000
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packed = tomllib.loads(text)["tool"]["setuptools"]["package-data"]["imf_core"]
    for name in ("paths/pretrained.safetensors", "paths/PRETRAINED.md"):
        assert (ROOT / "imf_core" / name).is_file()
        assert name in packed


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_missing_and_damaged_weights_of_the_package_are_an_error_with_its_remedy(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pretrained.safetensors"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(pretrained, "WEIGHTS", path)
    with pytest.raises(
        DataError, match=r"pretrained\.safetensors .* install the package again"
    ) as e:
        find_network("pretrained")
    assert "give a file" not in str(e.value)


def test_a_value_names_the_package_or_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PathNetwork(PathSpec(4, 1, 2))
    save_paths(network, tmp_path / "own.safetensors")
    found = find_network(str(tmp_path / "own.safetensors"))
    torch.testing.assert_close(found.state_dict(), network.state_dict())
    torch.testing.assert_close(
        find_network("pretrained").state_dict(), load_pretrained().state_dict()
    )
    with pytest.raises(DataError, match="missing"):
        find_network(str(tmp_path / "missing.pth"))


def test_a_hub_model_is_fetched_at_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, asked = PathNetwork(PathSpec(4, 1, 2)), []
    save_paths(network, tmp_path / "model.safetensors")

    def fetch(model: str, name: str, revision: str) -> str:
        asked.append((model, name, revision))
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    found = find_network(f"someone/paths@{REVISION}")
    assert asked == [("someone/paths", "model.safetensors", REVISION)]
    torch.testing.assert_close(found.state_dict(), network.state_dict())


def test_a_hub_model_that_cannot_be_fetched_is_an_error_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fetch(model: str, name: str, revision: str) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(ModelUnavailableError, match=r"someone/paths .*no route.* set pretrained"):
        find_network(f"someone/paths@{REVISION}")


@pytest.mark.parametrize("value", ["", "pre-trained", "someone/paths", "someone/paths@main"])
def test_other_values_are_an_error(value: str) -> None:
    with pytest.raises(ConfigError, match="must be pretrained, a file"):
        find_network(value)
