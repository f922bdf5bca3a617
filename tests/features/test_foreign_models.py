"""Models of others: with code, pickles, unusual padding or sizes, or damaged."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_inputs import (
    TEXTS,
    Workspace,
    image_features_params,
    picture,
    text_features_params,
    write_image_features,
    write_text_features,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPImageProcessorPil,
    DistilBertConfig,
    DistilBertModel,
    FNetConfig,
    FNetModel,
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
)

from imf_core.base.errors import ConfigError, ImfError, ModelUnavailableError, OutOfMemoryError
from imf_core.features.image.pretrained_image import ImageEncoder, load_image_encoder
from imf_core.features.shared.model_files import ModelSource, locate_model
from imf_core.features.shared.pretrained import SHAPE_ERRORS, computing, loading
from imf_core.features.text.pretrained_text import REMEDY, TextEncoder, load_text_encoder

MakeWorkspace = Callable[..., Workspace]
SMALL = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = ModelSource("text_features", "some/model", "0" * 40, "builtin:tfidf-svd")
CODE = "import pathlib\npathlib.Path({marker!r}).write_text('ran')\nraise SystemExit\n"


def load_text(folder: Path, **changes: object) -> TextEncoder:
    source = ModelSource("text_features", str(folder), None, "builtin:tfidf-svd")
    return load_text_encoder(source, text_features_params(model=str(folder), **changes))


def load_image(folder: Path) -> ImageEncoder:
    source = ModelSource("image_features", str(folder), None, "builtin:colour-pca")
    return load_image_encoder(source, image_features_params(model=str(folder)))


@pytest.fixture
def bert(bert_folder: Path, tmp_path: Path) -> Path:
    """A copy of the BERT for changes."""
    return Path(shutil.copytree(bert_folder, tmp_path / "bert"))


@pytest.fixture
def clip(clip_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clip_folder, tmp_path / "clip"))


def change(path: Path, **keys: object) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(found | keys))


def change_tokenizer(folder: Path, **keys: object) -> None:
    change(folder / "tokenizer_config.json", **keys)


def save_text_model(folder: Path, model: torch.nn.Module) -> Path:
    """Puts another model beside the BERT's tokenizer."""
    for path in folder.glob("*.safetensors"):
        path.unlink()
    model.save_pretrained(folder)
    return folder


# Code of the model's own


def add_code(folder: Path, name: str, key: str, marker: Path) -> None:
    (folder / "own_code.py").write_text(CODE.format(marker=str(marker)))
    change(folder / name, auto_map={key: "own_code.Own", "AutoConfig": "own_code.Own"})


@pytest.mark.parametrize("model_type", ["bert", "of-its-own"])
@pytest.mark.parametrize(
    ("name", "key"), [("config.json", "AutoModel"), ("tokenizer_config.json", "AutoTokenizer")]
)
def test_code_of_a_text_model_is_refused_and_never_run(
    bert: Path, tmp_path: Path, name: str, key: str, model_type: str
) -> None:
    marker = tmp_path / "ran"
    add_code(bert, name, key, marker)
    change(bert / "config.json", model_type=model_type)
    with pytest.raises(ModelUnavailableError, match=rf"never run.*auto_map of {name}.*own_code"):
        load_text(bert)
    assert not marker.exists()


@pytest.mark.parametrize("model_type", ["clip", "of-its-own"])
@pytest.mark.parametrize(
    ("name", "key"),
    [("config.json", "AutoModel"), ("preprocessor_config.json", "AutoImageProcessor")],
)
def test_code_of_an_image_model_is_refused_and_never_run(
    clip: Path, tmp_path: Path, name: str, key: str, model_type: str
) -> None:
    marker = tmp_path / "ran"
    add_code(clip, name, key, marker)
    change(clip / "config.json", model_type=model_type)
    with pytest.raises(ModelUnavailableError, match=rf"never run.*auto_map of {name}.*own_code"):
        load_image(clip)
    assert not marker.exists()


def test_code_that_a_processor_names_within_is_refused(clip: Path) -> None:
    change(clip / "processor_config.json", image_processor={"auto_map": {"a": "own_code.Own"}})
    with pytest.raises(ModelUnavailableError, match=r"auto_map of processor_config\.json"):
        load_image(clip)


@pytest.mark.slow
def test_a_yes_from_the_keyboard_runs_no_code(bert: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    add_code(bert, "config.json", "AutoModel", marker)
    change(bert / "config.json", model_type="of-its-own")
    script = (
        "import sys; from transformers import AutoModel\n"
        "from imf_core.features.text import pretrained_text as text\n"
        "from imf_core.features.shared.model_files import ModelSource\n"
        "from feature_inputs import text_features_params\n"
        "text.check_model_files = lambda source: None  # the second barrier alone\n"
        f"source = ModelSource('text_features', {str(bert)!r}, None, 'builtin')\n"
        "text.load_text_encoder(source, text_features_params())\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        input="yes\n" * 9,
        env={"PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parent}", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "trust_remote_code" in answer.stderr
    assert not marker.exists()


# Weights


def test_pickled_weights_are_not_loaded_and_the_conversion_is_named(bert: Path) -> None:
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailableError, match=r"in pytorch_model\.bin.*save_pretrained"):
        load_text(bert)


def test_a_directory_without_weights_says_what_it_has(clip: Path) -> None:
    (clip / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailableError, match=r"no weights.*it has config\.json"):
        load_image(clip)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(bert: Path, clip: Path, value: float) -> None:
    for folder, load in ((bert, load_text), (clip, load_image)):
        weights = load_file(folder / "model.safetensors")
        name = next(name for name in sorted(weights) if "vision" in name or folder is bert)
        weights[name].view(-1)[0] = value
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelUnavailableError, match=r"the weights .* hold NaN or infinity"):
            load(folder)


# Directories


def test_a_model_one_folder_down_is_named(bert: Path, tmp_path: Path) -> None:
    root = tmp_path / "saved"
    shutil.copytree(bert, root / "0_Transformer")
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (root / "modules.json").write_text("[]")
    with pytest.raises(ModelUnavailableError, match=r"did you mean .*/saved/0_Transformer'\?"):
        load_text(root)


def test_an_image_model_one_folder_down_is_named(clip: Path, tmp_path: Path) -> None:
    shutil.copytree(clip, tmp_path / "saved/clip")
    with pytest.raises(ModelUnavailableError, match=r"did you mean .*/saved/clip'\?"):
        load_image(tmp_path / "saved")


def test_a_file_in_place_of_a_directory_is_an_error_with_a_remedy(bert: Path) -> None:
    path = str(bert / "model.safetensors")
    with pytest.raises(ModelUnavailableError, match="is a file; set the directory"):
        locate_model("text_features", path, None, "builtin:tfidf-svd")


def test_the_reason_is_told_whole_where_a_tokenizer_cannot_be_loaded(bert: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bert / name).unlink()
    change(bert / "config.json", model_type="xlnet")
    with pytest.raises(ModelUnavailableError, match=r"cannot be loaded: \S.{40}"):
        load_text(bert)


@pytest.mark.parametrize("content", ["[]", "{", '{"model_type": 7}', '"bert"', "\ud800"])
def test_a_damaged_config_is_an_error_with_a_remedy(bert: Path, content: str) -> None:
    (bert / "config.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelUnavailableError, match=r"text_features\.model in params\.yaml"):
        load_text(bert)


# Padding


@pytest.mark.parametrize("pooling", ["mean", "cls", "words"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_has_the_same_vector_alone_and_in_any_batch(
    bert: Path, pooling: str, side: str
) -> None:
    change_tokenizer(bert, padding_side=side)
    encoder = load_text(bert, pooling=pooling)
    together = encoder.embed(TEXTS)
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "words"])
@pytest.mark.parametrize("pad_token", [True, False])
def test_a_decoder_gives_the_same_vector_alone_and_in_any_batch(
    bert: Path, pad_token: bool, pooling: str
) -> None:
    config = GPT2Config(vocab_size=99, n_embd=8, n_layer=2, n_head=2, n_positions=32)
    save_text_model(bert, GPT2Model(config))
    tokenizer = AutoTokenizer.from_pretrained(bert)
    change_tokenizer(bert, padding_side="left", eos_token="[SEP]")
    if not pad_token:
        found = json.loads((bert / "tokenizer_config.json").read_text())
        found.pop("pad_token")
        (bert / "tokenizer_config.json").write_text(json.dumps(found))
    encoder = load_text(bert, pooling=pooling)
    together = encoder.embed(TEXTS)
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    assert tokenizer.pad_token == "[PAD]"
    assert np.allclose(together, alone, atol=1e-5)


def test_inputs_that_a_model_does_not_take_are_left_out(bert: Path) -> None:
    config = DistilBertConfig(vocab_size=99, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    save_text_model(bert, DistilBertModel(config))
    assert load_text(bert).embed(TEXTS).shape == (7, 8)


def test_a_model_that_mixes_padding_in_is_refused(bert: Path) -> None:
    config = FNetConfig(
        vocab_size=99, hidden_size=8, num_hidden_layers=1, intermediate_size=8, pad_token_id=0
    )
    save_text_model(bert, FNetModel(config))
    with pytest.raises(ModelUnavailableError, match=r"another vector beside a longer one"):
        load_text(bert)


# Limits


def roberta(folder: Path, positions: int = 32) -> Path:
    config = RobertaConfig(
        vocab_size=99,
        **SMALL,
        intermediate_size=8,
        max_position_embeddings=positions,
        pad_token_id=1,
    )
    change_tokenizer(folder, model_max_length=10**30)
    return save_text_model(folder, RobertaModel(config))


def test_the_bound_of_roberta_leaves_out_the_positions_up_to_padding(bert: Path) -> None:
    folder = roberta(bert)
    with pytest.raises(ConfigError, match=r"max_tokens .* at most 30 .* got 31"):
        load_text(folder, max_tokens=31)
    assert load_text(folder, max_tokens=30).embed(["red " * 50]).shape == (1, 8)


def test_the_bound_of_bert_is_all_its_positions(bert: Path) -> None:
    change_tokenizer(bert, model_max_length=10**30)
    with pytest.raises(ConfigError, match=r"max_tokens .* at most 32 .* got 33"):
        load_text(bert, max_tokens=33)
    assert load_text(bert, max_tokens=32).embed(["red " * 50]).shape == (1, 8)


def test_a_limit_that_the_config_does_not_tell_is_the_one_message_of_the_stage(
    workspace: MakeWorkspace, bert: Path
) -> None:
    model = BertModel(BertConfig(vocab_size=99, **SMALL, intermediate_size=8))
    save_text_model(bert, model)
    change_tokenizer(bert, model_max_length=10**30)
    place = workspace([("a", "A", "red " * 40), ("b", "B", "blue")])
    encoder = load_text(bert, max_tokens=64)
    encoder.model.embeddings.position_embeddings = torch.nn.Embedding(16, 8)
    with pytest.raises(ModelUnavailableError, match=r"fails on 1 texts of at most 64 tokens.*\n"):
        encoder.embed(["red " * 40])
    assert place.entities.exists()


# Whatever a library raises


def test_a_processor_of_another_size_is_one_message_and_keeps_what_is_computed(
    workspace: MakeWorkspace, clip: Path
) -> None:
    size = {"height": 24, "width": 24}
    CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=size).save_pretrained(clip)
    place = workspace(2)
    place.make_images([(0, picture(0)), (1, picture(1))])
    params = image_features_params(model=str(clip))
    with pytest.raises(ModelUnavailableError, match=r"24 x 24 pixels.*\n.*preprocessor_config"):
        write_image_features(place, params)


def test_a_processor_that_crops_to_no_size_is_one_message(clip: Path) -> None:
    change(clip / "preprocessor_config.json", do_center_crop=False)
    encoder = load_image(clip)
    pictures = [picture(0, (20, 40)), picture(1, (40, 20))]
    with pytest.raises(ModelUnavailableError, match="fails on 2 pictures"):
        encoder.embed(encoder.preprocess(pictures))


def test_finished_chunks_stay_where_a_later_batch_fails(
    workspace: MakeWorkspace, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imf_core.features.text.pretrained_text.CHUNK_BATCHES", 1)
    place = workspace(7)
    params = text_features_params(model=str(bert))
    forward, calls = BertModel.forward, []

    def fails_at_the_fifth(self: BertModel, *inputs: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 5:
            raise IndexError("index out of range in self")
        return forward(self, *inputs, **named)

    monkeypatch.setattr("imf_core.features.text.pretrained_text.signature", _signature_of(forward))
    monkeypatch.setattr(BertModel, "forward", fails_at_the_fifth)
    with pytest.raises(ModelUnavailableError, match="index out of range in self"):
        write_text_features(place, params)
    assert len(list(place.unfinished.rglob("*.npy"))) == 2
    write_text_features(place, params)
    assert not list(place.unfinished.rglob("*.npy"))


def _signature_of(function: object) -> Callable[[object], object]:
    import inspect  # noqa: PLC0415

    found = inspect.signature(function)  # type: ignore[arg-type]
    return lambda _: found


ERRORS = [
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
    ImportError,
    AssertionError,
    ZeroDivisionError,
    OSError,
    io.UnsupportedOperation,
    RecursionError,
]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(ERRORS), st.text(max_size=2000))
def test_any_exception_of_a_library_becomes_the_message_of_the_stage(
    error: type[Exception], message: str
) -> None:
    with pytest.raises(ImfError) as caught, computing(TEXT, "2 texts", REMEDY, SHAPE_ERRORS):
        raise error(message)
    told = str(caught.value)
    assert told.startswith("text_features.model in params.yaml: 'some/model' at revision 000")
    assert "set text_features.model to builtin:tfidf-svd" in told
    assert len(told) < 1500


@pytest.mark.parametrize(
    ("error", "is_answered"),
    [
        (IndexError("index out of range in self"), True),
        (RuntimeError("The size of tensor a (9) must match the size of tensor b (8)"), True),
        (TypeError("forward() got an unexpected keyword argument"), False),
        (KeyError("last_hidden_state"), False),
        (NotImplementedError("no such kernel"), False),
    ],
)
def test_fewer_tokens_are_advised_only_where_a_length_can_be_the_cause(
    error: Exception, is_answered: bool
) -> None:
    with (
        pytest.raises(ModelUnavailableError) as caught,
        computing(TEXT, "2 texts", REMEDY, SHAPE_ERRORS),
    ):
        raise error
    told = str(caught.value)
    assert ("max_tokens" in told) == is_answered
    assert (f"{type(error).__name__}: " in told) == (not is_answered)
    assert str(error) in told


def test_too_little_memory_is_told_with_the_key_to_lower() -> None:
    with (
        pytest.raises(OutOfMemoryError, match=r"lower text_features\.batch_size"),
        computing(TEXT, "2 texts", REMEDY, SHAPE_ERRORS),
    ):
        raise MemoryError


def test_a_full_disk_stays_a_full_disk() -> None:
    with pytest.raises(OSError, match="No space"), computing(TEXT, "2 texts", REMEDY, SHAPE_ERRORS):
        raise OSError(28, "No space left on device", "chunk.npy")


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded"])
def test_a_full_disk_that_a_library_puts_into_words_stays_one(words: str) -> None:
    error = RuntimeError(f"Error while writing weights: {words} (os error 28)")
    with pytest.raises(RuntimeError, match=words), loading(TEXT):
        raise error
    with pytest.raises(OSError, match="cannot write"), loading(TEXT):
        raise OSError("cannot write") from error
