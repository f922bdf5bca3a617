"""Identifiers out of the labels of real data sets, read from a mirror directory."""

from pathlib import Path

import pytest

from imf_core.sources.formats import read_label_ids
from imf_core.wikimedia.identifiers import identify, read_identifier_map

MIRROR = Path(__file__).parents[2] / "../shared/mirror/raw.githubusercontent.com"


def the_only(pattern: str) -> Path:
    if not MIRROR.is_dir():
        pytest.skip(f"the mirror of public source files is not at {MIRROR}")
    (path,) = MIRROR.glob(pattern)
    return path


@pytest.mark.parametrize(
    ("pattern", "sites"),
    [
        ("zjukg/NATIVE/*/benchmarks/DB15K/entity2id.txt", {"enwiki": 12_842}),
        ("zjukg/MyGO/*/data/MKG-W/entity2id.txt", {"wikidata": 15_000}),
        (
            "HestiaSky/IMF-Pytorch/*/dataset/YAGO15K/entity2id.txt",
            {"enwiki": 15_402, "dewiki": 1, "nlwiki": 1},
        ),
    ],
)
def test_every_label_says_who_it_is(pattern: str, sites: dict[str, int]) -> None:
    found = [identify(label, {}) for label in read_label_ids(the_only(pattern))]
    assert None not in found
    assert len(set(found)) == len(found)
    counts = {site: sum(each.site == site for each in found if each) for site in sites}
    assert counts == sites


def test_the_map_of_fb15k_knows_nearly_all_its_ids() -> None:
    path = the_only("JTWang722/Multi-modal-FB15k/*/fb15k_mid-wdurl-wpurl_14951.txt")
    known, unknown = read_identifier_map(path)
    assert (len(known), unknown) == (14_943, 8)
