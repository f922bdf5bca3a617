"""The stages `download` and `prepare` in a separate project folder."""

import shutil
from pathlib import Path

import pytest

from imf_core.base.artifacts import file_sha256, read_json, read_parquet
from imf_core.base.errors import ConfigError, DataError
from imf_core.graph.graph import load_graph
from stages import download, images, media, prepare

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the project's parameters and the example graph."""
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    shutil.copy(PROJECT / "decisions.jsonl", tmp_path)
    shutil.copytree(PROJECT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMF_MIRROR", raising=False)
    monkeypatch.delenv("IMF_STATE", raising=False)
    return tmp_path


def choose(project: Path, name: str, path: str = "examples/solar-system") -> None:
    params = (project / "params.yaml").read_text().splitlines(keepends=True)
    for number, line in enumerate(params):
        if line == "dataset:\n":
            params[number + 1 : number + 3] = [f"  name: {name}\n", f"  path: {path}\n"]
    (project / "params.yaml").write_text("".join(params))


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): file_sha256(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_goes_through_both_stages(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(project, "folder")
    download.main()
    prepare.main()
    graph = load_graph(project / "data/graph")
    assert len(read_parquet(project / "data/graph/image_sources.parquet")) == 8
    assert read_json(project / "results/data.json")["entities"]["total"] == graph.num_entities
    table = (project / "results/data_relations.csv").read_text().splitlines()
    assert len(table) == 1 + graph.num_relations
    output = capsys.readouterr().out
    assert "copied train.txt" in output
    assert "folder: 137 entities, 9 relations" in output
    assert "warning" not in output


def test_both_stages_write_the_same_bytes_again(project: Path) -> None:
    choose(project, "folder")
    download.main()
    prepare.main()
    first = hashes(project / "data"), hashes(project / "results")
    download.main()
    prepare.main()
    assert (hashes(project / "data"), hashes(project / "results")) == first


def test_a_registered_set_comes_from_the_mirror_and_is_kept(
    project: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(project, "nations")
    monkeypatch.setenv("IMF_MIRROR", str(mirror))
    download.main()
    monkeypatch.setenv("IMF_MIRROR", str(project / "gone"))
    download.main()
    prepare.main()
    assert len(list((project / ".imf/downloads").iterdir())) == 3
    assert load_graph(project / "data/graph").num_entities == 14


def test_nothing_of_an_earlier_data_set_stays(
    project: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(project, "folder")
    download.main()
    choose(project, "nations")
    monkeypatch.setenv("IMF_MIRROR", str(mirror))
    download.main()
    assert sorted(hashes(project / "data/raw")) == ["test.txt", "train.txt", "valid.txt"]


def test_the_atlas_needs_no_mirror(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMF_MIRROR", str(project / "gone"))
    download.main()
    assert (project / "data/raw/train.txt").is_file()


def test_a_missing_image_is_reported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choose(project, "folder")
    (project / "examples/solar-system/images/io.png").unlink()
    download.main()
    assert (
        "warning: 1 case: images of the index are missing (first: 'images/io.png')"
        in capsys.readouterr().out
    )


def test_an_issue_of_download_is_kept_for_the_summary_and_printed_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(project, "folder")
    (project / "examples/solar-system/facts.csv").write_text("")
    download.main()
    prepare.main()
    (issue,) = read_json(project / "results/data.json")["issues"]
    assert (issue["kind"], issue["examples"]) == ("unread_files", ["'facts.csv'"])
    assert capsys.readouterr().out.count("facts.csv") == 1
    (project / "examples/solar-system/facts.csv").unlink()
    download.main()
    assert not (project / "data/raw/issues.json").exists()


def test_pictures_are_read_through_the_links_that_dvc_makes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(project, "folder")
    download.main()
    for place, picture in enumerate(sorted((project / "data/raw/images").iterdir())):
        kept = project / f".dvc/cache/files/md5/{place:02x}/{place:030x}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        picture.rename(kept)
        picture.symlink_to(kept)
    prepare.main()
    media.main()
    images.main()
    assert "images: 7 of 137 entities have a picture" in capsys.readouterr().out


def test_an_unknown_data_set_leaves_the_earlier_files(project: Path) -> None:
    choose(project, "folder")
    download.main()
    before = hashes(project / "data/raw")
    choose(project, "nowhere")
    with pytest.raises(ConfigError, match=r"dataset\.name must be one of"):
        download.main()
    assert hashes(project / "data/raw") == before


def test_a_missing_folder_is_an_error(project: Path) -> None:
    choose(project, "folder", "nowhere")
    with pytest.raises(DataError, match=r"dataset\.path: nowhere is not a folder"):
        download.main()
