"""The files of the stage, from a graph with some media of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from made_wikimedia import Wikimedia, entity, statement

from imf_core.base.artifacts import file_sha256, read_parquet, read_parquet_metadata
from imf_core.base.config import MediaParams
from imf_core.base.errors import ConfigError
from imf_core.graph.entities import FINGERPRINT_KEY, SCHEMA, ImageSources, save_image_sources
from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS, save_graph
from imf_core.wikimedia import lookup
from imf_core.wikimedia.api import Client
from imf_core.wikimedia.identifiers import Identifier
from imf_core.wikimedia.lookup import look_up_media, write_without_look_up
from imf_core.wikimedia.records import STATUSES, MediaSummary

FILES = ("descriptions.parquet", "image_sources.parquet", "manifest.parquet")

Q1, Q2, Q3, Q4, Q5 = (f"http://www.wikidata.org/entity/Q{i}" for i in range(1, 6))
FILE_PATH = "https://commons.wikimedia.org/wiki/Special:FilePath"


class Project:
    """A graph and the folder for its looked-up media."""

    def __init__(self, root: Path, entities: list[tuple[str, str, str]], images: list[int]) -> None:
        labels, names, descriptions = (list(column) for column in zip(*entities, strict=True))
        none = torch.zeros(0, 3, dtype=torch.long)
        graph = Graph(labels, names, descriptions, ["r"], ["r"], dict.fromkeys(SPLITS, none))
        self.fingerprint = graph.fingerprint
        self.graph = root / "graph"
        self.folder = root / "media"
        save_graph(graph, graph.facts, self.graph)
        own = ImageSources(images, ["mine.png"] * len(images))
        save_image_sources(own, graph.fingerprint, self.graph)

    def look_up(
        self, web: Client, known: dict[str, Identifier] | None = None, **changes: object
    ) -> MediaSummary:
        values = {"source": "wikidata", "language": "en", "image_width_pixels": 330, **changes}
        return look_up_media(
            self.graph / "entities.parquet",
            self.graph / "image_sources.parquet",
            known or {},
            MediaParams.model_validate(values),
            web,
            self.folder,
        )

    def rows(self, name: str) -> list[dict[str, object]]:
        return list(read_parquet(self.folder / f"{name}.parquet").to_pylist())

    def hashes(self) -> list[str]:
        return [file_sha256(self.folder / name) for name in FILES]


MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    def make(entities: list[tuple[str, str, str]], images: list[int] | None = None) -> Project:
        return Project(tmp_path, entities, images or [])

    return make


def test_an_item_gives_text_name_image_and_credit(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    project = make_project([(Q1, Q1, "")])
    world.add(entity("Q1", "universe", "all of space", [statement("Sky.jpg")]))
    world.credits["File:Sky.jpg"] = {"LicenseShortName": "Public domain", "Artist": "<b>NASA</b>"}
    summary = project.look_up(web)
    page = "https://www.wikidata.org/wiki/Q1"
    assert project.rows("descriptions") == [
        {
            "entity_id": 0,
            "description": "all of space",
            "name": "universe",
            "source_url": page,
            "licence": "CC0",
        }
    ]
    source = f"{FILE_PATH}/Sky.jpg?width=330"
    assert project.rows("image_sources") == [{"entity_id": 0, "source": source}]
    (row,) = project.rows("manifest")
    assert row.pop("fetched_at")
    assert row == {
        "entity_id": 0,
        "identifier": "Q1",
        "wikidata_id": "Q1",
        "status": "ok",
        "reason": "",
        "url": page,
        "image_file": "Sky.jpg",
        "image_licence": "Public domain",
        "image_author": "NASA",
        "image_page": "https://commons.wikimedia.org/wiki/File:Sky.jpg",
    }
    assert (summary.descriptions, summary.images, summary.counts["ok"]) == (1, 1, 1)


def test_every_entity_has_exactly_one_row_that_says_why(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    world.add(entity("Q1", "one", "first"), entity("Q2"), entity("Q5", "five", "fifth"))
    world.replies["commons.wikimedia.org"] = [(403, {}, b"")]
    world.items["Q5"]["claims"] = {"P18": [statement("Five.jpg")]}
    project = make_project(
        [
            (Q1, "one", ""),
            (Q2, "two", ""),
            (Q3, "three", ""),
            ("Oslo", "Oslo", ""),
            ("/m/06rf7", "x", ""),
            (Q5, "five", ""),
            (Q4, "four", "my own words"),
        ],
        images=[6],
    )
    summary = project.look_up(web)
    rows = project.rows("manifest")
    assert [row["entity_id"] for row in rows] == list(range(7))
    assert [row["status"] for row in rows] == [
        "ok",
        "nothing_found",
        "not_found",
        "no_identifier",
        "no_identifier",
        "unreachable",
        "not_asked",
    ]
    assert [row["reason"] for row in rows][2:6] == [
        "Wikidata has no item Q3",
        "its label is no id of Wikidata, Wikipedia, DBpedia or YAGO",
        "a Freebase id that entity2wikidata.txt does not map",
        "licence of the image: HTTP 403 from the mirror",
    ]
    assert list(summary.counts) == list(STATUSES)
    assert sum(summary.counts.values()) == 7


def test_media_of_ones_own_win(world: Wikimedia, web: Client, make_project: MakeProject) -> None:
    world.add(*(entity(f"Q{i}", f"n{i}", f"d{i}", [statement(f"{i}.jpg")]) for i in (1, 2, 3)))
    project = make_project([(Q1, "mine", "my words"), (Q2, Q2, ""), (Q3, "x", "my words")], [1, 2])
    project.look_up(web)
    assert [row["entity_id"] for row in project.rows("descriptions")] == [1]
    assert [row["entity_id"] for row in project.rows("image_sources")] == [0]
    (query,) = world.questions("www.wikidata.org")
    assert query["ids"] == "Q1|Q2"


def test_a_name_is_given_where_there_is_nothing_but_a_label(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    world.add(entity("Q1", "universe"), entity("Q2", "two"))
    project = make_project([(Q1, Q1, ""), (Q2, "a name of its own", "")])
    project.look_up(web)
    (row,) = project.rows("descriptions")
    assert (row["entity_id"], row["description"], row["name"]) == (0, "", "universe")
    assert project.rows("manifest")[1]["status"] == "nothing_found"


def test_a_map_says_who_a_label_is(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    world.add(entity("Q1", "universe", "all of space"))
    project = make_project([("/m/0x", "x", "")])
    project.look_up(web, known={"/m/0x": Identifier("wikidata", "Q1")})
    assert project.rows("manifest")[0]["wikidata_id"] == "Q1"


def test_entities_of_one_item_each_get_their_rows(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    world.add(entity("Q1", "one", "first", [statement("1.jpg")]))
    world.merged["Q2"] = "Q1"
    project = make_project([(Q1, "a", "own"), ("Q1", "b", ""), (Q2, "c", "")])
    project.look_up(web)
    assert [row["entity_id"] for row in project.rows("descriptions")] == [1, 2]
    assert [row["entity_id"] for row in project.rows("image_sources")] == [0, 1, 2]


ARTICLE = {"type": "standard", "extract": "The universe is all of space and time."}


def test_a_summary_comes_before_the_line_of_wikidata(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    world.add(
        entity("Q1", "universe", "all of space", [statement("Sky.jpg")], enwiki="Universe"),
        entity("Q2", "two", "second", enwiki="Gone"),
        entity("Q3", "three", "third"),
    )
    thumbnail = "https://upload.wikimedia.org/wikipedia/commons/thumb/1/15/T.jpg/330px-T.jpg"
    world.summaries["en.wikipedia.org/Universe"] = {**ARTICLE, "thumbnail": {"source": thumbnail}}
    project = make_project([(Q1, "1", ""), (Q2, "2", ""), (Q3, "3", "")])
    project.look_up(web, source="wikipedia")
    rows = project.rows("descriptions")
    assert [row["description"] for row in rows] == [ARTICLE["extract"], "second", "third"]
    assert [row["licence"] for row in rows] == ["CC BY-SA 4.0", "CC0", "CC0"]
    assert rows[0]["source_url"] == "https://en.wikipedia.org/wiki/Universe"
    assert project.rows("manifest")[0]["image_file"] == "Sky.jpg"


def test_the_image_of_an_article_is_used_where_the_item_has_none(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    upload = "https://upload.wikimedia.org/wikipedia"
    world.add(entity("Q1", "one", enwiki="One"), entity("Q2", "two", enwiki="Two"))
    world.credits["File:T.jpg"] = {"LicenseShortName": "CC0"}
    for name, place in (("One", "commons/1/15/T.jpg"), ("Two", "en/1/15/P.jpg")):
        thumbnail = {"source": f"{upload}/{place}"}
        world.summaries[f"en.wikipedia.org/{name}"] = {**ARTICLE, "thumbnail": thumbnail}
    project = make_project([(Q1, "1", ""), (Q2, "2", "")])
    project.look_up(web, source="wikipedia")
    assert [row["source"] for row in project.rows("image_sources")] == [
        f"{FILE_PATH}/T.jpg?width=330",
        f"{upload}/en/1/15/P.jpg",
    ]
    rows = project.rows("manifest")
    assert [(row["image_file"], row["image_licence"]) for row in rows] == [
        ("T.jpg", "CC0"),
        ("P.jpg", None),
    ]


def test_a_summary_that_cannot_be_had_is_said_and_the_line_of_wikidata_stays(
    world: Wikimedia, web: Client, make_project: MakeProject
) -> None:
    world.add(entity("Q1", "universe", "all of space", enwiki="Universe"))
    world.replies["en.wikipedia.org"] = [(403, {}, b"")]
    project = make_project([(Q1, "1", "")])
    project.look_up(web, source="wikipedia")
    (row,) = project.rows("manifest")
    assert row["status"] == "unreachable"
    assert row["reason"] == "enwiki:Universe: HTTP 403 from the mirror"
    assert project.rows("descriptions")[0]["description"] == "all of space"


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(
    world: Wikimedia, make_web: Callable[..., Client], make_project: MakeProject
) -> None:
    numbers = range(1, 131)
    world.add(
        *(entity(f"Q{i}", f"n{i}", "d", [statement(f"{i}.jpg")], enwiki=f"T{i}") for i in numbers)
    )
    for i in numbers:
        world.summaries[f"en.wikipedia.org/T{i}"] = ARTICLE
    project = make_project([(f"Q{i}", f"n{i}", "") for i in numbers])
    project.look_up(make_web(), source="wikipedia")
    first, asked = project.hashes(), len(world.asked)
    project.look_up(make_web(), source="wikipedia")
    assert project.hashes() == first
    assert (len(world.asked), world.repeated()) == (asked, [])
    assert asked == 3 + 3 + len(numbers)


def test_a_run_after_a_fault_asks_for_what_is_missing_alone(
    world: Wikimedia, make_web: Callable[..., Client], make_project: MakeProject
) -> None:
    world.add(*(entity(f"Q{i}", f"n{i}", "d") for i in range(1, 101)))
    world.replies["www.wikidata.org"] = [(403, {}, b"")]
    project = make_project([(f"Q{i}", f"n{i}", "") for i in range(1, 101)])
    assert project.look_up(make_web()).counts["unreachable"] == 50
    assert project.look_up(make_web()).counts["ok"] == 100
    assert len(world.asked) == 3


def test_entities_taken_a_few_at_a_time_end_in_the_same_rows(
    world: Wikimedia, web: Client, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(1, 24)
    world.add(*(entity(f"Q{i}", f"n{i}", f"d{i}", [statement(f"{i}.jpg")]) for i in numbers))
    project = make_project([(f"Q{i}", f"n{i}", "") for i in numbers])
    project.look_up(web)
    whole = [
        [{**row, "fetched_at": None} for row in project.rows(name.removesuffix(".parquet"))]
        for name in FILES
    ]
    monkeypatch.setattr(lookup, "ENTITIES_AT_ONCE", 5)
    project.look_up(web)
    parts = [
        [{**row, "fetched_at": None} for row in project.rows(name.removesuffix(".parquet"))]
        for name in FILES
    ]
    assert parts == whole


@pytest.mark.parametrize("contact", ["", "  "])
def test_nobody_to_write_to_is_an_error_that_says_what_to_put(
    contact: str, world: Wikimedia, make_web: Callable[..., Client], make_project: MakeProject
) -> None:
    with pytest.raises(ConfigError, match=r"fetch\.contact must hold your e-mail address or page"):
        make_project([(Q1, "1", "")]).look_up(make_web(contact=contact))
    assert world.asked == []


def test_where_nothing_is_asked_every_entity_still_has_a_row(make_project: MakeProject) -> None:
    project = make_project([(Q1, "1", ""), ("Oslo", "Oslo", "")])
    summary = write_without_look_up(project.graph / "entities.parquet", project.folder)
    assert [row["status"] for row in project.rows("manifest")] == ["not_asked", "not_asked"]
    assert (summary.descriptions, summary.images, summary.counts["not_asked"]) == (0, 0, 2)
    assert project.rows("descriptions") == []
    assert project.rows("image_sources") == []


def test_the_files_carry_the_fingerprint_of_the_graph(make_project: MakeProject) -> None:
    project = make_project([(Q1, "1", "")])
    write_without_look_up(project.graph / "entities.parquet", project.folder)
    for name in FILES:
        metadata = read_parquet_metadata(project.folder / name)
        assert metadata[FINGERPRINT_KEY] == project.fingerprint


def test_the_list_of_images_has_the_form_of_the_graphs_own(make_project: MakeProject) -> None:
    project = make_project([(Q1, "1", "")], images=[0])
    write_without_look_up(project.graph / "entities.parquet", project.folder)
    for folder in (project.graph, project.folder):
        assert read_parquet(folder / "image_sources.parquet").schema == SCHEMA


@pytest.mark.parametrize("blocked", ["descriptions.parquet", "image_sources.parquet"])
def test_there_is_no_manifest_where_another_file_could_not_be_finished(
    blocked: str, make_project: MakeProject
) -> None:
    project = make_project([(Q1, "1", "")])
    (project.folder / blocked).mkdir(parents=True)
    with pytest.raises(OSError, match=blocked):
        write_without_look_up(project.graph / "entities.parquet", project.folder)
    assert not (project.folder / "manifest.parquet").exists()
