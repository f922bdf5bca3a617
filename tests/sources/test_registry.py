"""The registry of data sets."""

from pathlib import Path

import pytest

from imf_core.base.errors import ConfigError
from imf_core.sources.registry import DESCRIPTIONS, DownloadedDataset, find_dataset, load_registry

ENTRY = """
datasets:
  tiny:
    kind: download
    title: Tiny
    licence: none
    citation: none
    format: labels
    counts: {entities: 1, relations: 1, train: 1, valid: 0, test: 0}
    files:
      - save_as: train.txt
        url: https://example.org/train.txt
        bytes: 10
        sha256: "%s"
""" % ("0" * 64)


def test_the_registry_is_valid_and_has_the_default_set() -> None:
    assert load_registry()["atlas"].kind == "embedded"


def test_every_source_file_is_pinned_to_a_commit() -> None:
    for dataset in load_registry().values():
        if isinstance(dataset, DownloadedDataset):
            for source in [*dataset.files, *dataset.archives]:
                assert any(len(part) == 40 for part in source.url.split("/")), source.url


def test_every_set_says_its_licence_and_whom_to_cite() -> None:
    for dataset in load_registry().values():
        assert dataset.licence
        assert dataset.citation


def test_descriptions_of_this_package_are_there_and_none_is_left_over() -> None:
    datasets = [each for each in load_registry().values() if isinstance(each, DownloadedDataset)]
    named = {each.descriptions for each in datasets if each.descriptions}
    assert named == {path.name for path in DESCRIPTIONS.iterdir()}


def test_a_file_of_unknown_size_is_pinned_by_its_git_blob(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    entry = ENTRY.replace("        bytes: 10\n", "").replace("sha256", "git_blob_sha1")
    path.write_text(entry.replace("0" * 64, "1" * 40))
    dataset = load_registry(path)["tiny"]
    assert isinstance(dataset, DownloadedDataset)
    assert (dataset.files[0].bytes, dataset.files[0].digest) == (None, "1" * 40)


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"atlas.*, folder or rdf .*'fb15k237'; did you mean fb15k-237"
    ):
        find_dataset("fb15k237")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("0" * 64, "12"), r"sha256"),
        (("sha256:", "git_blob_sha1:"), r"git_blob_sha1"),
        (
            ("        sha256:", "        git_blob_sha1: %s\n        sha256:" % ("a" * 40)),
            "not both",
        ),
        (("https://", "ftp://"), "url"),
        (("org/train", "org/../train"), "plain path"),
        (("save_as: train.txt", "save_as: other.txt"), r"needs \['train.txt'\]"),
        (("format: labels", "format: ids"), "entity2id"),
        (("format: labels", "format: ids-htr"), "entity2id"),
        (("format: labels", "format: labels\n    wikidata_json: x.json"), r"x\.json"),
        (("train: 1", "train: many"), "train"),
        (("licence: none", "license: none"), "license"),
        (("kind: download", "kind: other"), "kind"),
    ],
)
def test_a_malformed_entry_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(ENTRY.replace(*change))
    with pytest.raises(ConfigError, match=message):
        load_registry(path)


def test_a_registry_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text("datasets: [")
    with pytest.raises(ConfigError, match=r"registry\.yaml cannot be read as YAML"):
        load_registry(path)
