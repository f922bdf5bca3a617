from collections.abc import Callable
from pathlib import Path

import pytest
from feature_inputs import Workspace, picture

from imf_core.base.artifacts import read_parquet
from imf_core.base.errors import DataError
from imf_core.raster.shards import ShardWriter, read_shard, shard_paths

MakeWorkspace = Callable[..., Workspace]


def test_shards_are_cut_by_number_across_entities(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, 4, {})
    for entity_id, count in ((1, 3), (2, 0), (4, 6)):
        writer.append(entity_id, [bytes([number]) for number in range(count)])
    writer.flush()
    paths = sorted(tmp_path.iterdir())
    assert [read_shard(path, 5)[0].tolist() for path in paths] == [[1, 1, 1, 4], [4] * 4, [4]]
    assert read_parquet(paths[1])["position"].to_pylist() == [1, 2, 3, 4]
    assert read_shard(paths[0], 5)[1] == [b"\0", b"\1", b"\2", b"\0"]


def test_a_full_last_shard_is_not_followed_by_an_empty_one(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, 2, {})
    writer.append(0, [b"a", b"b"])
    writer.flush()
    assert len(list(tmp_path.iterdir())) == 1


def test_an_id_out_of_range_is_an_error(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, 2, {})
    writer.append(7, [b"a"])
    writer.flush()
    with pytest.raises(DataError, match=r"entity_id must be in \[0, 7\), got 7 to 7"):
        read_shard(next(tmp_path.iterdir()), 7)


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
