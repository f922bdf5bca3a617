"""Tables in code and docs equal the stored measurements."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from made_results import make_basis, make_measurement, make_ranks

from imf_core.base.errors import DataError
from recipes.environment import replace_between_markers
from recipes.recipe import list_recipes
from recipes.store import RESULTS, Basis, Measurement, Store
from recipes.summary import read_published, summarise
from recipes.table import MARKER, NOTHING, PLACES, render_full, render_short


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", tmp_path / "ranks")


def save(store: Store, *measurements: Measurement) -> None:
    for each in measurements:
        store.save(each, make_ranks(2.0))


def gain_of_first_seed(gain: float) -> dict[str, Any]:
    interval = {"gain": gain, "low": gain - 0.01, "high": gain + 0.01}
    return {"seeds": [0], "by_seed": [interval], "pooled": interval}


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.name)
def test_the_texts_show_what_the_stored_measurements_give(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    store = Store(RESULTS, RESULTS / "none")
    assert text == replace_between_markers(text, MARKER, PLACES[path](store))


def test_without_measurements_the_tables_say_so(store: Store) -> None:
    assert (render_short(store), render_full(store)) == (NOTHING, NOTHING)


def test_the_short_table_has_a_line_for_each_measured_set(store: Store) -> None:
    save(
        store,
        make_measurement(row="structure", seed=0, mrr=0.4),
        make_measurement(row="structure", seed=1, mrr=0.5),
        make_measurement(row="full", mrr=0.6),
        make_measurement(row="full", mrr=0.38, dataset="db15k"),
    )
    store.save_gain("atlas", {"structure": gain_of_first_seed(0.2)})
    assert render_short(store).splitlines() == [
        "| set | structure | full | gain over structure | seeds | best published | how selected "
        "| best selected on valid | commit |",
        "|---|---|---|---|---|---|---|---|---|",
        "| atlas | 45.0 ± 7.1 | 60.0 | +20.0 [+19.0, +21.0] (seed 0) | structure 2, full 1 |  "
        "|  |  | abc |",
        "| db15k |  | 38.0 |  | 1 | 42.2 KGT (7B language model) | not stated "
        "| 37.5 M-Hyper run again | abc |",
    ]


def test_a_section_has_every_row_once_and_the_ablations_apart(store: Store) -> None:
    save(
        store,
        make_measurement(row="structure", mrr=0.4, modalities=["structure"]),
        make_measurement(row="structure-text", mrr=0.45),
        make_measurement(row="full"),
        make_measurement(row="two-structures", modalities=["structure"]),
        make_measurement(row="rank-8", mrr=0.55),
    )
    store.save_gain("atlas", {"structure": gain_of_first_seed(0.1)})
    main, apart = render_full(store).split("Parts of the full model")
    assert "Measured on abacus, 1 thread, torch 2; commit abc." in main
    command = "`imf measure atlas --rows structure`"
    line = "| structure | 40.0 | 25.0 | 50.0 | 75.0 | 40.0 | 12.5 | valid | 60 s | 1 | abc | "
    assert f"{line}{command} |" in main.splitlines()
    assert "- over structure alone: +10.0 [+9.0, +11.0]; by seed +10.0" in main
    assert "| row | 0 (1,200) | 1-2 (1,200) |" in main
    assert "| row | query with text (7) | query without text (7) |" in main
    assert "two structural models, one decision" in main
    assert "fusion of rank 8" not in main
    titles = [line.split(" | ")[0] for line in apart.splitlines() if line.startswith("| ")]
    assert titles == ["| ", "| full IMF", "| no fused channel", "| fusion of rank 8"]
    assert apart.endswith("![MRR on valid by epoch](images/curves-atlas.png)")


def test_media_that_all_queries_have_are_not_broken_down(store: Store) -> None:
    whole = {"modality": "image", "entity": "answer", "has_it": "no", "queries": 7, "mrr": 0.5}
    measurement = make_measurement()
    save(store, dataclasses.replace(measurement, by_media=[whole, *measurement.by_media]))
    assert "| row | query with text (7) | query without text (7) |" in render_full(store)
    save(store, dataclasses.replace(measurement, by_media=[whole]))
    assert "has a modality" not in render_full(store)


def test_figures_of_others_stand_below_ours_and_are_marked(store: Store) -> None:
    save(store, make_measurement(dataset="db15k"))
    lines = render_full(store).splitlines()
    ours = next(number for number, line in enumerate(lines) if line.startswith("| full IMF"))
    line = "| *MyGO* | 37.7 | 30.1 | 41.3 | 52.2 |  |  | test |  |  |  | published: arXiv"
    assert any(each.startswith(line) for each in lines[ours + 1 :])


def test_a_figure_of_tails_alone_is_in_the_column_of_tails_and_never_the_best(
    store: Store,
) -> None:
    save(store, make_measurement(dataset="fb15k-237"))
    line = "| *ChoicE* |  |  |  |  | 45.0 |  | test |  |  |  | published: its paper |"
    assert line in render_full(store).splitlines()
    assert "| 44.3 MoKGR | not stated | 41.5 NBFNet |" in render_short(store)


def test_a_gain_that_is_no_longer_that_of_the_rows_is_not_shown(store: Store) -> None:
    save(store, make_measurement(row="structure", mrr=0.4), make_measurement(row="full", mrr=0.6))
    store.save_gain("atlas", {"structure": gain_of_first_seed(0.1)})
    assert "| 60.0 |  | 1 |  |  |  |" in render_short(store)
    assert "Gain of the full model" not in render_full(store)


def test_a_breakdown_is_read_by_its_labels_wherever_they_stand(store: Store) -> None:
    measurement = make_measurement(row="structure")
    rare, common = measurement.by_degree
    shuffled = [{**common, "mrr": 0.9}, {**rare, "mrr": 0.1}]
    save(store, measurement, make_measurement(row="full", by_degree=shuffled))
    lines = render_full(store).splitlines()
    assert "| full IMF | 10.0 | 90.0 |" in lines
    save(store, make_measurement(row="full", by_degree=[common]))
    with pytest.raises(DataError, match=r"atlas/full-seed0.json: by_degree has no row 0, unlike"):
        render_full(store)


TEXT, OTHER_TEXT = {"text": "a hash"}, {"text": "another hash", "image": "a hash"}


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (make_basis(), make_basis(graph="another"), "on the same facts"),
        (make_basis(features=TEXT), make_basis(features=OTHER_TEXT), "with the same text features"),
        (make_basis(), make_basis(epochs=20), "with the same values"),
    ],
)
def test_measurements_on_other_grounds_are_refused_in_one_table(
    store: Store, one: Basis, other: Basis, message: str
) -> None:
    save(store, make_measurement(basis=one), make_measurement(seed=1, basis=other))
    places = "atlas/full-seed0, atlas/full-seed1"
    with pytest.raises(DataError, match=rf"{places} were not measured {message}; measure"):
        render_short(store)


def test_rows_may_differ_in_their_values_and_in_the_modalities_they_read(store: Store) -> None:
    save(
        store,
        make_measurement(row="structure", basis=make_basis(epochs=20)),
        make_measurement(row="full", basis=make_basis(features=TEXT)),
    )
    assert "| atlas |" in render_short(store)


def test_figures_of_others_are_of_sets_that_have_a_recipe() -> None:
    assert set(read_published()) <= set(list_recipes())


def test_the_picture_of_a_set_is_drawn_the_same_each_time(store: Store, tmp_path: Path) -> None:
    curves = pytest.importorskip("recipes.curves", reason="matplotlib is not installed")
    save(store, make_measurement(), make_measurement(row="structure", mrr=0.4))
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in pictures:
        curves.draw_curves("atlas", summarise(store.load_all("atlas")), path)
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_a_file_of_another_version_is_named_with_its_remedy(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "results" / "set" / "full-seed0.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"models": [], "graph": "of old"}')
    with pytest.raises(DataError, match=r"full-seed0.json is not a measurement .* measure again"):
        store.load("set", "full", 0)
