import os
from collections.abc import Callable
from pathlib import Path

import pytest
from feature_inputs import Workspace, picture

from imf_core.base.artifacts import read_parquet
from imf_core.base.errors import DataError
from imf_core.images.select import SOURCE_STATUSES
from imf_core.raster.shards import read_shard, shard_paths
from imf_core.web.store import WebStore

MakeWorkspace = Callable[..., Workspace]
WEB = "http://example.org"


def rows(place: Workspace, name: str) -> list[dict[str, object]]:
    return read_parquet(place.images / name).to_pylist()


def statuses(place: Workspace) -> list[object]:
    return [row["status"] for row in rows(place, "sources.parquet")]


def put(place: Workspace, name: str, content: bytes) -> str:
    (place.root / "raw" / name).write_bytes(content)
    return name


def was_asked(place: Workspace, url: str) -> bool:
    with WebStore(place.root / "web") as store:
        return store.get(url) is not None


def test_the_first_good_pictures_are_kept_and_every_source_has_a_status(
    workspace: MakeWorkspace,
) -> None:
    place = workspace(3)
    one, two, three = (put(place, f"{i}.png", picture(i)) for i in range(3))
    empty, text = put(place, "empty.png", b""), put(place, "text.png", b"no picture at all")
    sources = [empty, one, one, "gone.png", text, two, three]
    place.list_sources([(1, source) for source in sources])
    summary = place.write_images()
    assert statuses(place) == [
        "empty",
        "ok",
        "duplicate",
        "missing",
        "not_an_image",
        "ok",
        "surplus",
    ]
    assert [row["source"] for row in rows(place, "sources.parquet")] == sources
    assert summary.sources["ok"] == 2
    assert tuple(summary.sources) == SOURCE_STATUSES
    assert (summary.num_entities, summary.num_with_images, summary.num_without_source) == (3, 1, 2)


def test_every_entity_has_one_row_in_the_manifest(workspace: MakeWorkspace) -> None:
    place = workspace(4)
    good, bad = put(place, "good.png", picture(0)), put(place, "bad.png", b"no picture at all")
    place.list_sources([(3, bad), (3, good), (1, bad), (1, "gone.png")])
    place.write_images()
    assert rows(place, "manifest.parquet") == [
        {
            "entity_id": entity_id,
            "status": status,
            "reason": reason,
            "num_images": num_images,
            "source": source,
            "fetched_at": None,
        }
        for entity_id, status, reason, num_images, source in [
            (0, "no_source", "", 0, None),
            (1, "missing", "there is no such file", 0, "gone.png"),
            (2, "no_source", "", 0, None),
            (3, "ok", "", 1, "good.png"),
        ]
    ]


def test_the_same_picture_of_two_entities_is_no_duplicate(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    name = put(place, "flag.png", picture(0))
    place.list_sources([(0, name), (1, name)])
    place.write_images()
    assert statuses(place) == ["ok", "ok"]


def test_shards_hold_the_pictures_in_entity_order(workspace: MakeWorkspace) -> None:
    place = workspace(6)
    place.list_sources([(5 - i // 2, put(place, f"{i}.png", picture(i))) for i in range(10)])
    place.write_images()
    paths = shard_paths(place.images, place.graph.fingerprint)
    ids = [read_shard(path, 6)[0].tolist() for path in paths]
    assert ids == [[1, 1, 2, 2], [3, 3, 4, 4], [5, 5]]


def test_a_second_run_gives_the_same_bytes(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    sources = [(i % 5, put(place, f"{i}.png", picture(i))) for i in range(5)]
    sources += [(i, place.put_on_web(f"{WEB}/{i}", picture(9 + i))) for i in range(5)]
    place.list_sources(sources)
    place.write_images()
    first = {path.name: path.read_bytes() for path in place.images.iterdir()}
    place.write_images()
    assert {path.name: path.read_bytes() for path in place.images.iterdir()} == first


def test_files_of_an_earlier_or_killed_run_do_not_stay(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    place.list_sources([(i, put(place, f"{i}.png", picture(i))) for i in range(5)])
    place.write_images(images_per_shard=1)
    (place.images / ".manifest.parquet.123.tmp").write_bytes(b"half")
    place.write_images()
    assert sorted(path.name for path in place.images.iterdir()) == [
        "manifest.parquet",
        "shard-00000.parquet",
        "shard-00001.parquet",
        "sources.parquet",
    ]


def test_no_sources_give_a_row_for_every_entity_and_no_shard(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    place.list_sources([])
    assert sum(place.write_images().sources.values()) == 0
    assert [row["status"] for row in rows(place, "manifest.parquet")] == ["no_source"] * 2
    assert shard_paths(place.images, place.graph.fingerprint) == []


@pytest.mark.parametrize("source", ["file.png", "folder/a.png"])
def test_a_link_out_of_the_data_folder_is_not_followed(
    workspace: MakeWorkspace, source: str
) -> None:
    place = workspace(1)
    outside = place.root / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(picture(0))
    (place.root / "raw/file.png").symlink_to(outside / "a.png")
    (place.root / "raw/folder").symlink_to(outside)
    place.list_sources([(0, source)])
    place.write_images()
    (row,) = rows(place, "sources.parquet")
    assert (row["status"], row["reason"]) == ("refused", "a link out of the data folder")


def test_a_pipe_is_not_opened(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    os.mkfifo(place.root / "raw/a.png")
    place.list_sources([(0, "a.png")])
    place.write_images()
    assert statuses(place) == ["missing"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a\0b", "no file can have this name"),
        ("", "a folder and not a file"),
        (".", "a folder and not a file"),
        ("circle", "cannot be read (Too many levels of symbolic links)"),
        ("a" * 300, "cannot be read (File name too long)"),
        ("gone.png", "there is no such file"),
    ],
)
def test_a_path_that_is_no_file_is_missing(
    workspace: MakeWorkspace, source: str, reason: str
) -> None:
    place = workspace(1)
    (place.root / "raw/circle").symlink_to("circle")
    place.list_sources([(0, source)])
    place.write_images()
    (row,) = rows(place, "sources.parquet")
    assert (row["status"], row["reason"]) == ("missing", reason)


@pytest.mark.parametrize(
    "source",
    [
        "../graph/entities.parquet",
        "/etc/hostname",
        "file:///etc/hostname",
        "FILE:secret.png",
        "ftp://example.org/a.png",
    ],
)
def test_a_path_that_leads_out_of_the_data_folder_is_refused(
    workspace: MakeWorkspace, source: str
) -> None:
    place = workspace(1)
    (place.root / "secret.png").write_bytes(picture(0))
    place.list_sources([(0, source)])
    place.write_images()
    assert statuses(place) == ["refused"]


@pytest.mark.parametrize("cache", [f"cache/files/md5/ab/{'0123456789' * 3}", "raw/file"])
def test_a_link_that_dvc_put_in_the_place_of_a_file_is_followed(
    workspace: MakeWorkspace, cache: str
) -> None:
    place = workspace(1)
    kept = place.root / cache
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(picture(0))
    (place.root / "raw/b.png").symlink_to(kept)
    place.list_sources([(0, "b.png")])
    place.write_images()
    assert statuses(place) == ["ok"]


def test_a_file_over_the_byte_limit_is_not_read(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    place.list_sources([(0, put(place, "big.png", b"x" * 5000))])
    place.write_images(max_source_bytes=1000)
    assert statuses(place) == ["too_many_bytes"]


def test_urls_are_fetched_and_told_with_their_time(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    url = place.put_on_web(f"{WEB}/a.png", picture(0))
    place.list_sources([(0, url), (1, f"{WEB}/b.png")])
    place.write_images()
    good, bad = rows(place, "sources.parquet")
    assert (good["status"], bad["status"]) == ("ok", "not_found")
    assert bad["reason"] == "not in the mirror folder"
    assert (good["sha256"] is None, bad["sha256"] is None) == (False, True)
    with WebStore(place.root / "web") as store:
        for row, told in zip((good, bad), rows(place, "manifest.parquet"), strict=True):
            stored = store.get(str(row["source"]))
            assert stored is not None
            assert row["fetched_at"] == told["fetched_at"] == stored.fetched_at


def test_the_sources_of_the_first_list_come_first(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    own, found = put(place, "own.png", picture(0)), put(place, "found.png", picture(1))
    place.list_sources([(0, found)], "found.parquet")
    place.list_sources([(0, own)])
    place.write_images(("image_sources.parquet", "found.parquet"), max_per_entity=1)
    assert [row["source"] for row in rows(place, "sources.parquet")] == [own, found]
    assert statuses(place) == ["ok", "surplus"]


def test_surplus_urls_are_not_fetched(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    urls = [place.put_on_web(f"{WEB}/{i}.png", picture(i)) for i in range(5)]
    local = [put(place, f"{i}.png", picture(i)) for i in range(2)]
    place.list_sources([*((0, url) for url in urls[:3]), *((1, name) for name in local)])
    place.list_sources([(1, urls[3])], "more.parquet")
    place.write_images(("image_sources.parquet", "more.parquet"))
    assert statuses(place) == ["ok", "ok", "surplus"] * 2
    assert [was_asked(place, url) for url in urls[:4]] == [True, True, False, False]


def test_a_url_that_gives_no_picture_is_replaced_by_the_next(workspace: MakeWorkspace) -> None:
    place = workspace(1)
    contents = [b"no picture at all", picture(0), None, picture(0), picture(1), picture(2)]
    urls = [f"{WEB}/{number}.png" for number in range(len(contents))]
    for url, content in zip(urls, contents, strict=True):
        if content is not None:
            place.put_on_web(url, content)
    place.list_sources([(0, url) for url in urls])
    place.write_images()
    assert statuses(place) == ["not_an_image", "ok", "not_found", "duplicate", "ok", "surplus"]
    assert not was_asked(place, urls[-1])


def test_a_missing_list_of_sources_is_an_error(workspace: MakeWorkspace) -> None:
    with pytest.raises(DataError, match=r"image_sources\.parquet is missing"):
        workspace(1).write_images()


def test_real_flags_come_through(workspace: MakeWorkspace) -> None:
    data = Path(__file__).parents[2] / "../shared/data/countries-mm"
    if not data.is_dir():
        pytest.skip("the countries data set is not at hand")
    flags = sorted((data / "images/flags").glob("*.png"))[:20]
    place = workspace(20)
    place.list_sources(
        [(i, put(place, flag.name, flag.read_bytes())) for i, flag in enumerate(flags)]
    )
    assert place.write_images(size_pixels=224).sources["ok"] == 20
