"""Names of experiments: derived, refused and unique."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import FlowError
from flows.experiments.names import (
    LONGEST,
    RUNNING,
    check_name,
    derive_name,
    reserved_name,
    with_counter,
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"fusion.rank": 64}, "fusion-rank-64"),
        (
            {"train.encoder_n3": 0.05, "fusion.detach": True},
            "train-encoder-n3-0.05-fusion-detach-true",
        ),
        ({"model.modalities": ["structure", "text"]}, "model-modalities-structure-text"),
        ({"train.n3": 1e-5}, "train-n3-1e-05"),
        ({"text_features.model": "/models/all.MiniLM"}, "text-features-model-models-all-minilm"),
        ({"image_features.revision": None}, "image-features-revision-none"),
        ({}, "unchanged"),
    ],
)
def test_a_name_says_what_is_changed(changes: dict[str, object], name: str) -> None:
    assert derive_name(changes) == name


@given(st.dictionaries(st.just("fetch.contact"), st.text(max_size=200)))
def test_a_derived_name_is_always_valid(changes: dict[str, object]) -> None:
    name = derive_name(changes)
    check_name(name)
    ref = f"refs/exps/{name}-2"
    assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a..b", "a.", "a.lock", "é", "x" * 61])
def test_a_name_that_git_or_a_person_would_trip_over_is_refused(name: str) -> None:
    with pytest.raises(FlowError, match=f"name must be at most {LONGEST} letters"):
        check_name(name)


def test_a_name_in_use_gets_a_counter(repository: Path) -> None:
    with reserved_name(with_counter("a")) as first, reserved_name(with_counter("a")) as second:
        assert (first.name, second.name) == ("a", "a-2")
    with reserved_name(with_counter("a")) as again:
        assert again.name == "a"


def test_a_given_name_in_use_is_an_error_with_the_remedy(repository: Path) -> None:
    with reserved_name(["a"]), pytest.raises(FlowError, match="dvc exp remove a"):
        reserved_name(["a"]).__enter__()


def test_what_a_killed_run_left_is_removed_and_what_another_needs_is_not(repository: Path) -> None:
    (RUNNING / "killed").mkdir(parents=True)
    with reserved_name(["running"]) as running:
        running.folder.mkdir()
        with reserved_name(["mine"]) as mine:
            mine.folder.mkdir()
            assert running.folder.exists()
    assert [path.name for path in RUNNING.glob("*/")] == []
