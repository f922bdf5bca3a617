from collections.abc import Callable
from pathlib import Path

import pytest
from feature_inputs import Workspace, images_params, no_fetch, picture

from imf_core.artifacts import read_parquet
from imf_core.errors import DataError
from imf_core.features.shards import (
    STATUSES,
    ImageSummary,
    read_shard,
    shard_paths,
    write_image_shards,
)
from imf_core.media.images import RejectedImage

MakeWorkspace = Callable[..., Workspace]
Fetch = Callable[[str], "bytes | RejectedImage"]


def write(place: Workspace, fetch: Fetch = no_fetch, **changes: object) -> ImageSummary:
    sources = place.root / "graph/image_sources.parquet"
    params = images_params(**changes)
    return write_image_shards(sources, place.root / "raw", place.images, params, fetch)


def statuses(place: Workspace) -> list[str]:
    return read_parquet(place.images / "manifest.parquet")["status"].to_pylist()


def put(place: Workspace, name: str, content: bytes) -> str:
    (place.root / "raw" / name).write_bytes(content)
    return name


def test_the_first_good_pictures_are_kept_and_every_source_has_a_status(
    workspace: MakeWorkspace,
) -> None:
    place = workspace(3)
    one, two, three = (put(place, f"{i}.png", picture(i)) for i in range(3))
    empty, text = put(place, "empty.png", b""), put(place, "text.png", b"no picture at all")
    rows = [(1, empty), (1, one), (1, one), (1, "gone.png"), (1, text), (1, two), (1, three)]
    place.list_sources(rows)
    summary = write(place)
    assert statuses(place) == [
        "empty",
        "ok",
        "duplicate",
        "missing",
        "not_an_image",
        "ok",
        "surplus",
    ]
    assert summary.counts["ok"] == 2
    assert summary.num_entities == 1
    assert tuple(summary.counts) == STATUSES


def test_the_same_picture_of_two_entities_is_no_duplicate(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    name = put(place, "flag.png", picture(0))
    place.list_sources([(0, name), (1, name)])
    write(place)
    assert statuses(place) == ["ok", "ok"]


def test_shards_are_cut_by_number_and_read_back_in_entity_order(workspace: MakeWorkspace) -> None:
    place = workspace(6)
    rows = [(5 - i // 2, put(place, f"{i}.png", picture(i))) for i in range(10)]
    place.list_sources(rows)
    write(place)
    paths = shard_paths(place.images, place.graph.fingerprint)
    ids = [read_shard(path, 6)[0].tolist() for path in paths]
    assert ids == [[1, 1, 2, 2], [3, 3, 4, 4], [5, 5]]
    assert read_parquet(paths[0])["position"].to_pylist() == [0, 1, 0, 1]


def test_a_second_run_gives_the_same_bytes(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    place.list_sources([(i % 5, put(place, f"{i}.png", picture(i))) for i in range(10)])
    write(place)
    first = {path.name: path.read_bytes() for path in place.images.iterdir()}
    write(place)
    assert {path.name: path.read_bytes() for path in place.images.iterdir()} == first


def test_shards_of_an_earlier_run_do_not_stay(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    place.list_sources([(i, put(place, f"{i}.png", picture(i))) for i in range(5)])
    write(place, images_per_shard=1)
    write(place)
    assert len(shard_paths(place.images, place.graph.fingerprint)) == 2


def test_no_sources_give_an_empty_manifest_and_no_shard(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    place.list_sources([])
    assert sum(write(place).counts.values()) == 0
    assert statuses(place) == []
    assert shard_paths(place.images, place.graph.fingerprint) == []


@pytest.mark.parametrize("source", ["../graph/entities.parquet", "/etc/hostname", "a\0b", "", "."])
def test_a_path_that_is_no_file_inside_the_data_folder_is_missing(
    workspace: MakeWorkspace, source: str
) -> None:
    place = workspace(1)
    place.list_sources([(0, source)])
    write(place)
    assert statuses(place) == ["missing"]


def test_a_file_over_the_byte_limit_is_not_read(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    place.list_sources([(0, put(place, "big.png", b"x" * 5000))])
    write(place, max_source_bytes=1000)
    assert statuses(place) == ["too_many_bytes"]


def test_urls_are_fetched_and_their_failures_counted(workspace: MakeWorkspace) -> None:
    place = workspace(3)
    place.list_sources([(0, "https://example.org/a.png"), (1, "http://example.org/b.png")])

    def fetch(url: str) -> bytes | RejectedImage:
        if url.startswith("https:"):
            return picture(0)
        return RejectedImage("unreachable", "HTTP 404")

    summary = write(place, fetch)
    assert (summary.counts["ok"], summary.counts["unreachable"]) == (1, 1)
    assert read_parquet(place.images / "manifest.parquet")["detail"].to_pylist()[1] == "HTTP 404"


def test_surplus_urls_are_not_fetched(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    rows = [(0, put(place, f"{i}.png", picture(i))) for i in range(2)]
    place.list_sources([*rows, (0, "https://example.org/a.png")])
    write(place, no_fetch)
    assert statuses(place) == ["ok", "ok", "surplus"]


def test_an_unfinished_stage_is_an_error(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    place.make_images([(0, picture(0))])
    (place.images / "manifest.parquet").unlink()
    with pytest.raises(DataError, match=r"manifest\.parquet is missing"):
        shard_paths(place.images, place.graph.fingerprint)


def test_shards_of_another_graph_are_refused(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    place.make_images([(0, picture(0))])
    with pytest.raises(DataError, match="another graph"):
        shard_paths(place.images, "f" * 64)


def test_a_missing_list_of_sources_is_an_error(workspace: MakeWorkspace) -> None:
    with pytest.raises(DataError, match=r"image_sources\.parquet is missing"):
        write(workspace(1))


def test_real_flags_come_through(workspace: MakeWorkspace) -> None:
    data = Path(__file__).parents[2] / "../shared/data/countries-mm"
    if not data.is_dir():
        pytest.skip("the countries data set is not at hand")
    flags = sorted((data / "images/flags").glob("*.png"))[:20]
    place = workspace(20)
    rows = [(i, put(place, flag.name, flag.read_bytes())) for i, flag in enumerate(flags)]
    place.list_sources(rows)
    assert write(place, size_pixels=224).counts["ok"] == 20
