"""The typed parameters: every error names key, value, bound and file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from ruamel.yaml.error import YAMLError
from tiny_world import ROOT

from imf_core.base.config import Params, name_graph
from imf_core.base.errors import ConfigError
from imf_core.base.params_file import load_params
from imf_core.base.yaml_text import read_yaml

VALUES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
KEYS = [(section, key) for section, values in VALUES.items() for key in values]

LoadChanged = Callable[..., Params]


@pytest.fixture
def load_changed(tmp_path: Path) -> LoadChanged:
    """Returns a function that loads `params.yaml` with one key changed, added or removed."""

    def load(section: str, key: str, *value: object) -> Params:
        raw = {name: dict(values) for name, values in VALUES.items()}
        raw[section].pop(key, None)
        if value:
            (raw[section][key],) = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(raw), encoding="utf-8")
        return load_params(path)

    return load


def test_the_parameters_of_the_project_are_valid() -> None:
    assert load_params(ROOT / "params.yaml").model_dump() == VALUES


def test_parameters_cannot_be_changed_once_loaded() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_params(ROOT / "params.yaml").train.epochs = 3


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_missing_key_is_named(section: str, key: str, load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=rf"params\.yaml: key {section}\.{key} is missing"):
        load_changed(section, key)


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_an_unknown_key_is_answered_with_the_nearest_one(
    section: str, key: str, load_changed: LoadChanged
) -> None:
    message = rf"unknown key {section}\.{key}x; did you mean {section}\.{key}\?"
    with pytest.raises(ConfigError, match=message):
        load_changed(section, f"{key}x", 1)


def test_an_unknown_key_like_no_other_is_named_alone(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"unknown key model\.zzzzzzzzzzzzzzz$"):
        load_changed("model", "zzzzzzzzzzzzzzz", 1)


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_value_of_another_type_is_named(
    section: str, key: str, load_changed: LoadChanged
) -> None:
    value: object = 3 if key == "precomputed" else {}
    message = rf"params\.yaml: {section}\.{key} must be .*, got {re.escape(str(value))}"
    with pytest.raises(ConfigError, match=message):
        load_changed(section, key, value)


@pytest.mark.parametrize("host", ["http://127.0.0.1:8900", "127.0.0.0/8", "*", "a b", ""])
def test_a_private_host_must_be_a_host(host: str, load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match="must list `host` or `host:port`, got"):
        load_changed("fetch", "allowed_private_hosts", [host])


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1:8080", "[::1]:80", "media.intra.net"])
def test_a_private_host_may_have_a_port(host: str, load_changed: LoadChanged) -> None:
    assert load_changed("fetch", "allowed_private_hosts", [host]).fetch.allowed_private_hosts


def test_a_contact_is_one_line(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"fetch\.contact must be one line of ASCII"):
        load_changed("fetch", "contact", "a\r\nX-Evil: c")


@pytest.mark.parametrize(
    ("section", "key", "value", "bound"),
    [
        ("dataset", "name", "", "at least 1 character"),
        ("prepare", "valid_fraction", 0.0, "greater than 0"),
        ("prepare", "test_fraction", 0.5, "less than or equal to 0.4"),
        ("prepare", "split", "random", "'leak-free' or 'official'"),
        ("prepare", "seed", -1, "greater than or equal to 0"),
        ("prepare", "seed", 2**62, f"less than {2**62}"),
        ("train", "seed", 2**63, f"less than {2**63}"),
        ("images", "size_pixels", 8, "greater than or equal to 16"),
        ("media", "image_width_pixels", 320, "20, 40, 60, 120, 250, 330, 500, .* or 3840"),
        ("fetch", "timeout_seconds", 601.0, "less than or equal to 600"),
        ("image_features", "dim", 1, "greater than or equal to 2"),
        ("text_features", "pooling", "max", "'mean', 'cls' or 'words'"),
        ("text_features", "max_tokens", 4, "greater than or equal to 8"),
        ("model", "context", "diagonal", "'block-diagonal' or 'dense'"),
        ("model", "dropout", 1.0, "less than 1"),
        ("fusion", "rank", -1, "greater than or equal to 0"),
        ("fusion", "contrastive_temperature", 0.0, "greater than 0"),
        ("decision", "shrinkage", -1.0, "greater than or equal to 0"),
        ("train", "epochs", 0, "greater than or equal to 1"),
        ("train", "label_smoothing", 1.2, "less than 1"),
        ("train", "embedding_learning_rate", float("nan"), "finite number"),
        ("evaluate", "batch_size", 0, "greater than or equal to 1"),
        ("evaluate", "device", "tpu", "'auto', 'cpu' or 'cuda'"),
        ("predict", "min_relation_affinity", 1.1, "less than or equal to 1"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bound(
    section: str, key: str, value: object, bound: str, load_changed: LoadChanged
) -> None:
    expected = rf"params\.yaml: {section}\.{key} .*{bound}.*, got {value!r}"
    with pytest.raises(ConfigError, match=expected):
        load_changed(section, key, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-5),
        ("1.0e-3", 1e-3),
        ("5", 5),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("012", 12),
        ("'1e-3'", "1e-3"),
        ("~", None),
        ("true", True),
    ],
)
def test_plain_words_are_read_by_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = read_yaml(text)
    assert (found, type(found)) == (value, type(value))


def test_a_fraction_is_no_whole_number(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"fusion\.rank must be an integer, got 2\.5"):
        load_changed("fusion", "rank", 2.5)


def test_yes_is_no_number(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"train\.seed must be .*integer, got True"):
        load_changed("train", "seed", True)


def test_a_whole_number_serves_as_a_fraction(load_changed: LoadChanged) -> None:
    assert load_changed("fetch", "timeout_seconds", 30).fetch.timeout_seconds == 30.0


@pytest.mark.parametrize("sha256", ["", "0" * 63, "g" * 64, "A" * 64])
def test_ready_features_are_pinned_by_a_hash(sha256: str, load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"image_features\.precomputed\.sha256 must be 64 digits"):
        load_changed("image_features", "precomputed", {"path": "a.npy", "sha256": sha256})


def test_repeated_modalities_are_refused(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"modalities must not repeat, got \['text', 'text'\]"):
        load_changed("model", "modalities", ["text", "text"])


def test_an_unknown_modality_is_named(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"modalities\.1 must be 'structure', .*, got 'audio'"):
        load_changed("model", "modalities", ["text", "audio"])


def test_no_modality_at_all_is_refused(load_changed: LoadChanged) -> None:
    with pytest.raises(
        ConfigError, match=r"model\.modalities must list at least 1, or auto, got \[\]"
    ):
        load_changed("model", "modalities", [])


def test_an_odd_dim_is_refused(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"dim must be even .*, got 7"):
        load_changed("model", "dim", 7)


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("dataset: {name: 1}\nprepare: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_params(path)
    faults = str(error.value).splitlines()
    assert all(fault.startswith(f"{path}: ") for fault in faults)
    assert any("dataset.name must be" in fault for fault in faults)
    assert any("key prepare.seed is missing" in fault for fault in faults)


@pytest.mark.parametrize("section", VALUES)
def test_a_missing_section_is_named(section: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    rest = {name: values for name, values in VALUES.items() if name != section}
    path.write_text(yaml.safe_dump(rest), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"key {section} is missing"):
        load_params(path)


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "text\n"])
def test_a_file_that_holds_no_sections_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"params\.yaml: the file must hold sections \(dataset"):
        load_params(path)


@pytest.mark.parametrize("content", [b"a: [1", b"a: \xff\xfe"])
def test_a_file_that_is_no_yaml_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"params\.yaml is not valid YAML"):
        load_params(path)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        (
            "image_features",
            "precomputed",
            "x.npy",
            r"must be null or \{path: FILE, sha256: HASH\} \(`sha256sum FILE` .* prints the hash\)",
        ),
        ("dataset", "image_folders", "x", r"must be a list in square brackets, such as \[x\], got"),
        ("dataset", "name", 12, "must be a string, such as '12' in quotation marks, got 12"),
        ("model", "modalities", "image", r".* brackets, such as \[image\], or auto, got 'image'"),
        ("model", "mask_missing", "yes", "must be true or false, got 'yes'"),
        ("train", "epochs", 10.0, r"must be an integer, such as 10, or auto, got 10\.0"),
        (
            "media",
            "language",
            "EN",
            "must be the code of a language in small letters, .*, got 'EN'",
        ),
    ],
)
def test_a_value_of_another_form_is_answered_with_the_right_one(
    section: str, key: str, value: object, message: str, load_changed: LoadChanged
) -> None:
    with pytest.raises(ConfigError, match=rf"params\.yaml: {section}\.{key} {message}"):
        load_changed(section, key, value)


def test_a_missing_key_is_explained(load_changed: LoadChanged) -> None:
    with pytest.raises(ConfigError, match=r"train\.seed is missing; add it \(seed of initial"):
        load_changed("train", "seed")


def test_an_unknown_key_of_a_file_of_features_is_answered_with_the_nearest(
    load_changed: LoadChanged,
) -> None:
    message = r"unknown key .*precomputed\.sha; did you mean image_features\.precomputed\.sha256\?"
    with pytest.raises(ConfigError, match=message):
        load_changed("image_features", "precomputed", {"path": "x.npy", "sha": "0" * 64})


def test_a_key_outside_its_section_is_answered_with_its_sections(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({**VALUES, "seed": 1}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"unknown key seed; did you mean prepare\.seed or "):
        load_params(path)


@pytest.mark.parametrize("value", [None, [1], "x"])
def test_a_section_without_keys_is_named(value: object, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({**VALUES, "tune": value}), encoding="utf-8")
    with pytest.raises(ConfigError, match="tune must be a section with the keys trials, seed, "):
        load_params(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a:\n  b: 1\n\tc: 2\n", "line 3: a tab where the indentation is; indent by spaces"),
        ("a:\n  b: c: d\n", "line 2: a colon too many, a wrong indentation or"),
        ("a:\n  b: 'c\n  d: 1\n", "line 2: a quotation mark without its partner"),
        ("a:\n  b: 1\n   c: 2\n", "line 3: "),
        ("a:\n  b: 1\n  c 2\nd: 3\n", "line 3: no colon with a space behind it; write key: value"),
        ("a: [b\nc: 2\n", "line 1: a bracket without its partner; close it"),
        ("a: !b 1\n", "line 1: a value that starts with !, & or \\*; quote it"),
        ("a: @b\n", "line 1: a value that starts with a special character; quote it"),
        ("a: 1\nb: 2\na: 3\n", "line 3: key a occurs twice, first in line 1; delete one"),
        ("a: 1\n<<<<<<< HEAD\nb: 2\n", "line 2: a conflict marker of Git .*; settle"),
        ("{a: 1}: 2\n", "line 1: a key must be one word"),
    ],
)
def test_a_mistake_in_yaml_is_a_sentence_with_its_line(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"params\.yaml is not valid YAML, {message}") as error:
        load_params(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_missing_file_is_named_with_a_remedy(is_folder: bool, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    if is_folder:
        path.mkdir()
    message = r"params\.yaml is not a file; run from the project's root"
    with pytest.raises(ConfigError, match=message):
        load_params(path)


@pytest.mark.parametrize("section", VALUES)
def test_a_form_describes_every_field_and_its_bounds(section: str) -> None:
    schema = Params.model_json_schema()
    name = schema["properties"][section]["$ref"].rpartition("/")[2]
    fields = schema["$defs"][name]["properties"]
    for key, field in fields.items():
        assert field["title"] == key
        assert field["description"]
        number = field.get("anyOf", [field])[0]
        assert ("minimum" in number) == ("at least" in field["description"])
        assert ("exclusiveMaximum" in number) == ("below" in field["description"])


def test_a_form_shows_bounds_after_the_description() -> None:
    schema = Params.model_json_schema()["$defs"]
    rank = schema["FusionParams"]["properties"]["rank"]["description"]
    assert rank.startswith("number of terms")
    assert rank.endswith("; at least 0, at most 1024")
    assert schema["PrepareParams"]["properties"]["seed"]["description"].endswith("below 2^62")


@pytest.mark.parametrize(
    ("dataset", "path", "shown"),
    [
        ("atlas", "examples/solar-system", "atlas"),
        ("folder", "/data/mine/", "mine"),
        ("folder", "graphs/mine.v2", "mine.v2"),
        ("folder", ".", "folder"),
        ("folder", "../..", "folder"),
        ("folder", "", "folder"),
        ("rdf", "dumps/people.ttl", "people"),
        ("rdf", "dumps/people.nt.gz", "people"),
        ("rdf", "people.2026.NT.BZ2", "people.2026"),
        ("rdf", ".ttl", ".ttl"),
        ("rdf", "/", "rdf"),
    ],
)
def test_a_graph_is_named_after_its_data_set_or_its_place(
    dataset: str, path: str, shown: str
) -> None:
    assert name_graph(dataset, path) == shown


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a:\n  b: 1\n  c: 2\n  b: 3\n"])
def test_a_key_that_occurs_twice_is_an_error(text: str) -> None:
    with pytest.raises(YAMLError, match=r"key [ab] occurs twice"):
        read_yaml(text)
