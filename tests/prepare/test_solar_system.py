"""The example of the folder format is a valid graph."""

import re
from pathlib import Path

import pytest

from imf_core.base.config import FOLDER, PrepareParams
from imf_core.prepare.prepare import Prepared, prepare_graph
from imf_core.sources.folder import copy_folder

EXAMPLE = Path(__file__).parents[2] / "examples/solar-system"


@pytest.fixture
def prepared(tmp_path: Path, prepare_params: PrepareParams) -> Prepared:
    copied = copy_folder(EXAMPLE, tmp_path / "raw", [])
    assert (copied.images, copied.issues) == (8, [])
    return prepare_graph(tmp_path / "raw", FOLDER, prepare_params)


def test_the_example_has_no_data_issue(prepared: Prepared) -> None:
    assert prepared.summary["issues"] == []


def test_the_numbers_in_its_readme_are_true(prepared: Prepared) -> None:
    labels = prepared.labels
    facts = sum(len(part) for part in prepared.facts.values())
    moons = sum(label.endswith("\tis_a\tregular_moon") for label in facts_of(EXAMPLE))
    moons += sum(label.endswith("\tis_a\tirregular_moon") for label in facts_of(EXAMPLE))
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert f"{moons} moons" in readme
    assert (
        f"{labels.num_entities} entities, {labels.num_relations} relations, {facts} facts" in readme
    )


def test_one_entity_has_two_images_and_most_have_none(prepared: Prepared) -> None:
    saturn = prepared.labels.entity_labels.index("saturn")
    assert prepared.images.entity_ids.count(saturn) == 2
    assert len(set(prepared.images.entity_ids)) == 7


def test_its_images_are_small() -> None:
    assert all(path.stat().st_size < 5_000 for path in (EXAMPLE / "images").iterdir())


def test_its_descriptions_do_not_name_what_a_fact_links_them_to(prepared: Prepared) -> None:
    labels = prepared.labels
    named = []
    for facts in prepared.facts.values():
        for head, _, tail in facts.tolist():
            for one, other in ((head, tail), (tail, head)):
                name = re.escape(labels.entity_names[other])
                if re.search(rf"(?<!\w){name}(?!\w)", labels.entity_descriptions[one]):
                    named.append((labels.entity_labels[one], labels.entity_labels[other]))
    assert named == []


def facts_of(folder: Path) -> list[str]:
    return (folder / "train.txt").read_text(encoding="utf-8").splitlines()
