"""The stage `media` in a separate project folder."""

import io
import shutil
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from made_wikimedia import Wikimedia, entity, statement
from PIL import Image

from imf_core.base.artifacts import read_parquet
from imf_core.base.errors import ConfigError
from imf_core.web.store import WebStore
from stages import download, features, images, media, prepare

PROJECT = Path(__file__).parents[2]
FACTS = "".join(f"Q{i}\tnext\tQ{i % 9 + 1}\n" for i in range(1, 10))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a prepared graph of nine items and an entity known by a map."""
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    shutil.copy(PROJECT / "decisions.jsonl", tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.txt").write_text(FACTS + "/m/0x\tnext\tQ1\n/m/0x\tnear\tQ2\n")
    (folder / "entity2wikidata.txt").write_text("/m/0x\thttp://www.wikidata.org/entity/Q77\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMF_MIRROR", raising=False)
    monkeypatch.delenv("IMF_STATE", raising=False)
    change(tmp_path, dataset={"name": "folder", "path": "mine"})
    download.main()
    prepare.main()
    return tmp_path


def change(project: Path, **sections: dict[str, object]) -> None:
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for section, values in sections.items():
        params[section].update(values)
    path.write_text(yaml.safe_dump(params))


def test_by_default_nothing_is_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    media.main()
    assert "nothing is looked up (media.source: none)" in capsys.readouterr().out
    manifest = read_parquet(project / "data/media/manifest.parquet")
    assert set(manifest["status"].to_pylist()) == {"not_asked"}
    assert not (project / ".imf/web").exists()


def test_texts_and_image_addresses_come_from_wikidata(
    project: Path,
    world: Wikimedia,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.add(*(entity(f"Q{i}", f"n{i}", f"d{i}", [statement(f"{i}.jpg")]) for i in (1, 2, 77)))
    monkeypatch.setenv("IMF_MIRROR", world.url)
    change(project, media={"source": "wikidata"}, fetch={"contact": "someone@example.org"})
    media.main()
    output = capsys.readouterr().out
    assert "media: texts of 3 and images of 3 entities" in output
    assert "not_found: 7 of 10" in output
    graph = read_parquet(project / "data/graph/entities.parquet")["entity_label"].to_pylist()
    manifest = read_parquet(project / "data/media/manifest.parquet")["wikidata_id"].to_pylist()
    assert dict(zip(graph, manifest, strict=True))["/m/0x"] == "Q77"
    asked = len(world.asked)
    media.main()
    assert len(world.asked) == asked


def test_nobody_to_write_to_ends_the_stage(project: Path) -> None:
    change(project, media={"source": "wikipedia"})
    with pytest.raises(ConfigError, match=r"fetch\.contact must hold"):
        media.main()


def test_what_was_looked_up_becomes_images_and_text_features(
    project: Path, world: Wikimedia, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add(*(entity(f"Q{i}", f"n{i}", f"d{i}", [statement(f"{i}.jpg")]) for i in (1, 2)))
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(picture, "JPEG")
    world.pictures["1.jpg"] = picture.getvalue()
    monkeypatch.setenv("IMF_MIRROR", world.url)
    change(project, media={"source": "wikidata"}, fetch={"contact": "someone@example.org"})
    media.main()
    images.main()
    monkeypatch.setattr(sys, "argv", ["features.py", "text"])
    features.main()
    labels = read_parquet(project / "data/graph/entities.parquet")["entity_label"].to_pylist()
    shard = read_parquet(project / "data/images/shard-00000.parquet")
    assert [labels[entity_id] for entity_id in shard["entity_id"].to_pylist()] == ["Q1"]
    texts = read_parquet(project / "data/features/text.parquet")["is_present"].to_pylist()
    present = [label for label, is_present in zip(labels, texts, strict=True) if is_present]
    assert present == ["Q1", "Q2"]


def test_the_same_answers_leave_the_same_bytes_though_they_are_asked_for_again(
    project: Path, world: Wikimedia, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add(*(entity(f"Q{i}", f"n{i}", f"d{i}", [statement(f"{i}.jpg")]) for i in (1, 2)))
    monkeypatch.setenv("IMF_MIRROR", world.url)
    change(project, media={"source": "wikidata"}, fetch={"contact": "someone@example.org"})

    def run() -> dict[str, bytes]:
        media.main()
        return {path.name: path.read_bytes() for path in (project / "data/media").iterdir()}

    first, asked = run(), len(world.asked)
    with sqlite3.connect(project / ".imf/web/index.sqlite") as index:
        index.execute("UPDATE outcomes SET fetched_at = '2020-01-01T00:00:00Z'")
    index.close()
    old = run()
    assert old["manifest.parquet"] != first["manifest.parquet"]
    with WebStore(project / ".imf/web") as store:
        store.set_aside_older_than(datetime.now(UTC) + timedelta(days=1))
    assert run() == old
    assert len(world.asked) == 2 * asked
