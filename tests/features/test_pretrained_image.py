from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_inputs import Workspace, image_features_params, picture, write_image_features
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPImageProcessorPil,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from imf_core.base.errors import ConfigError, DataError, ModelUnavailableError
from imf_core.features.image import pretrained_image
from imf_core.graph.feature_table import FeatureTable, load_features
from imf_core.raster.reencode import open_rgb

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_image, "CHUNK_BATCHES", 1)


def write(place: Workspace, model: object, **changes: object) -> FeatureTable:
    params = image_features_params(model=str(model), **changes)
    return write_image_features(place, params)


def ten_pictures(make: MakeWorkspace) -> Workspace:
    place = make(8)
    place.make_images([(i % 5, picture(i)) for i in range(10)])
    return place


def test_an_entity_gets_the_mean_of_its_unit_vectors(
    workspace: MakeWorkspace, clip_folder: Path
) -> None:
    place = workspace(2)
    place.make_images([(0, picture(0)), (1, picture(1)), (1, picture(2))])
    both = write(place, clip_folder)
    params = image_features_params(model=str(clip_folder))
    source = pretrained_image.ModelSource("image_features", str(clip_folder), None, "builtin")
    encoder = pretrained_image.load_image_encoder(source, params)
    single = encoder.embed(encoder.preprocess([picture(0), picture(1), picture(2)]))
    assert np.allclose(np.linalg.norm(single, axis=1), 1, atol=1e-6)
    assert np.allclose(both.vectors[0], single[0], atol=1e-5)
    assert np.allclose(both.vectors[1], single[1:].mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{}, {"do_normalize": False}, {"size": {"shortest_edge": 12}}],
    ids=["CLIP's", "without means", "smaller than its crop"],
)
def test_the_model_gets_the_very_numbers_of_the_processor(
    clip_folder: Path, changes: dict[str, object]
) -> None:
    source = pretrained_image.ModelSource("image_features", str(clip_folder), None, "builtin")
    encoder = pretrained_image.load_image_encoder(source, image_features_params())
    processor = CLIPImageProcessorPil.from_pretrained(clip_folder, **changes)
    encoder = replace(encoder, processor=processor, levels=pretrained_image.read_levels(processor))
    contents = [picture(seed, size) for seed, size in enumerate([(24, 16), (16, 40), (9, 9)])]
    expected = processor([open_rgb(each) for each in contents], return_tensors="pt")
    found = encoder.normalise(encoder.preprocess(contents))
    assert torch.equal(found, expected["pixel_values"])


def test_entities_without_a_picture_have_zeros(workspace: MakeWorkspace, clip_folder: Path) -> None:
    features = write(ten_pictures(workspace), clip_folder)
    assert features.is_present.tolist() == [True] * 5 + [False] * 3
    assert not features.vectors[5:].any()


def test_the_file_holds_what_was_returned_and_names_no_path(
    workspace: MakeWorkspace, clip_folder: Path
) -> None:
    place = ten_pictures(workspace)
    made = write(place, clip_folder)
    read = load_features(place.output, place.graph.fingerprint)
    assert torch.equal(read.vectors, made.vectors)
    assert read.provenance["processor"] == "CLIPImageProcessorPil"
    assert len(read.provenance["weights_sha256"]) == 64
    assert str(clip_folder) not in str(read.provenance)


def test_a_killed_run_goes_on_to_identical_bytes(
    workspace: MakeWorkspace, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ten_pictures(workspace)
    write(place, clip_folder)
    whole = place.output.read_bytes()
    place.output.unlink()

    embed = pretrained_image.ImageEncoder.embed
    calls = []

    def killed_at_the_third(self: object, pixels: torch.Tensor) -> np.ndarray:
        calls.append(len(pixels))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, pixels)

    monkeypatch.setattr(pretrained_image.ImageEncoder, "embed", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        write(place, clip_folder)
    assert not place.output.exists()
    killed_after = len(calls)
    write(place, clip_folder)
    assert place.output.read_bytes() == whole
    assert len(calls) - killed_after == 3  # of five batches two were finished


def test_finished_chunks_are_removed_at_the_end(
    workspace: MakeWorkspace, clip_folder: Path
) -> None:
    place = ten_pictures(workspace)
    write(place, clip_folder)
    assert not any(place.unfinished.rglob("*.npy"))


def test_another_batch_size_gives_the_same_vectors(
    workspace: MakeWorkspace, clip_folder: Path
) -> None:
    place = ten_pictures(workspace)
    by_two, by_five = (write(place, clip_folder, batch_size=size) for size in (2, 5))
    assert torch.allclose(by_two.vectors, by_five.vectors, atol=1e-5)


def test_no_pictures_at_all_is_fine(workspace: MakeWorkspace, clip_folder: Path) -> None:
    place = workspace(3)
    place.make_images([])
    assert not write(place, clip_folder).is_present.any()


def test_siglip_is_known_too(workspace: MakeWorkspace, tmp_path: Path) -> None:
    config = SiglipVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    folder = tmp_path / "siglip"
    SiglipVisionModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    features = write(ten_pictures(workspace), folder)
    assert features.vectors.shape == (8, 8)


def test_a_text_model_is_refused(workspace: MakeWorkspace, bert_folder: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="'bert' model; known are clip and siglip"):
        write(ten_pictures(workspace), bert_folder)


def test_a_model_without_its_weights_is_not_filled_up_at_random(
    workspace: MakeWorkspace, clip_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    for path in clip_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailableError, match=r"1 weights are not in it, visual_projection"):
        write(ten_pictures(workspace), folder)


def test_an_empty_directory_is_an_error_with_a_remedy(
    workspace: MakeWorkspace, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnavailableError, match=r"set image_features\.model to builtin"):
        write(ten_pictures(workspace), tmp_path / "empty")


def test_damaged_weights_are_an_error_with_a_remedy(
    workspace: MakeWorkspace, clip_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in clip_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        write(ten_pictures(workspace), folder)


def test_a_missing_directory_is_an_error_that_names_it(workspace: MakeWorkspace) -> None:
    with pytest.raises(ModelUnavailableError, match=r"'\./models/clip' does not exist"):
        write(ten_pictures(workspace), "./models/clip")


def test_an_unpinned_hub_model_is_refused(workspace: MakeWorkspace) -> None:
    with pytest.raises(ConfigError, match=r"image_features\.revision .* must pin .* got 'main'"):
        write(ten_pictures(workspace), "someone/clip", revision="main")


def test_a_revision_of_a_directory_is_refused(workspace: MakeWorkspace, clip_folder: Path) -> None:
    with pytest.raises(ConfigError, match="must be null"):
        write(ten_pictures(workspace), clip_folder, revision="0" * 40)


def test_an_unknown_builtin_lists_the_known_one(workspace: MakeWorkspace) -> None:
    with pytest.raises(ConfigError, match=r"no 'builtin:vgg'; the only built-in is .*colour-pca"):
        write(ten_pictures(workspace), "builtin:vgg")


def test_a_hub_that_cannot_be_reached_says_what_to_set(
    workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ModelUnavailableError, match=r"HF_HUB_OFFLINE=1 .*Finished work is kept"):
        write(ten_pictures(workspace), "someone/clip", revision="0" * 40)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused(workspace: MakeWorkspace, clip_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"image_features\.device"):
        write(ten_pictures(workspace), clip_folder, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_precision_on_cuda_is_close_to_the_cpu(
    workspace: MakeWorkspace, clip_folder: Path
) -> None:
    place = ten_pictures(workspace)
    cpu, cuda = (write(place, clip_folder, device=device) for device in ("cpu", "cuda"))
    assert torch.allclose(cpu.vectors, cuda.vectors, atol=5e-3)


def test_images_of_another_graph_are_refused(workspace: MakeWorkspace, clip_folder: Path) -> None:
    place = ten_pictures(workspace)
    fingerprint = place.graph.fingerprint
    with pytest.raises(DataError, match="another graph"):
        load_features(_written(place, clip_folder), fingerprint[::-1])


def _written(place: Workspace, model: Path) -> Path:
    write(place, model)
    return place.output
