"""Text vectors from a BERT-family model, resumable.

In: texts. Out: one vector of length one per text, by `text_features.pooling`: the mean of its token
states, the state of its first token, or four means side by side. Texts are sorted by length and
padded only within a batch, which halves the work; finished chunks are kept until the features are
written.

The mean of the states tells what a text is about, but not its words, and the facts of a lexicon or
of a taxonomy depend on single words: the kind that a definition names, the word that two names
share. So `words` adds the mean of the input embeddings, which depend on no other token, and repeats
both means with weights that fall along the text, which usually starts with the name.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from imf_core.base.device import resolve_device
from imf_core.base.errors import ConfigError, ModelUnavailableError
from imf_core.features.shared.model_files import ModelSource, check_model_files
from imf_core.features.shared.pretrained import (
    SHAPE_ERRORS,
    ChunkStore,
    choose_device,
    choose_dtype,
    computing,
    describe_encoder,
    loading,
    require_weights,
    unit_rows,
)
from imf_core.features.text import TextFeaturesParams

CHUNK_BATCHES = 16  # the work that a kill can lose
REMEDY = "lower text_features.max_tokens, if the model takes no texts of that length"
NAME_TOKENS = 4
"""Tokens after which the weight of a token falls to 1/e, with the pooling `words`."""

TOLERANCE = 0.05
"""Distance of vectors of length one; half precision rounds by less than a tenth of it."""


@dataclass(frozen=True)
class TextEncoder:
    """A loaded text model.

    Attributes:
        source: Source of the model.
        tokenizer: The tokenizer.
        model: In evaluation mode, on its device.
        pooling: mean: mean of the states of all tokens but padding; cls: state of the first token;
            words: see `pool_words`.
        max_tokens: Longer texts are cut.
    """

    source: ModelSource
    tokenizer: Any
    model: Any
    pooling: Literal["mean", "cls", "words"]
    max_tokens: int

    @cached_property
    def mean_embedding(self) -> Tensor:
        """Mean of the vocabulary's input embeddings, shape: (G,), dtype: float32."""
        mean: Tensor = self.model.get_input_embeddings().weight.float().mean(dim=0)
        return mean

    @property
    def provenance(self) -> dict[str, str]:
        """Metadata of the encoder."""
        return {
            **self.source.provenance(),
            "processor": type(self.tokenizer).__name__,
            "pooling": self.pooling,
            "max_tokens": str(self.max_tokens),
        }

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes one batch; shape: (B, F), dtype: float32, rows of length one."""
        return encode_batch(self, texts)


def encode_batch(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Encodes texts, padded to the longest one; see `TextEncoder.embed`."""
    inputs = f"{len(texts)} texts of at most {encoder.max_tokens} tokens"
    with computing(encoder.source, inputs, REMEDY, SHAPE_ERRORS):
        tokens = encoder.tokenizer(
            list(texts),
            padding=True,
            # Positions count from the left: padding there would shift the text.
            padding_side="right",
            truncation=True,
            max_length=encoder.max_tokens,
            return_attention_mask=True,
            return_special_tokens_mask=encoder.pooling == "words",
            return_tensors="pt",
        ).to(encoder.model.device)
        mask = tokens["attention_mask"].unsqueeze(2)  # (B, T, 1)
        known = signature(encoder.model.forward).parameters
        given = {name: tokens[name] for name in tokens if name in known}
        with torch.inference_mode():
            states = encoder.model(**given).last_hidden_state.float()  # (B, T, F)
            if encoder.pooling == "cls":
                vectors = states[:, 0]
            elif encoder.pooling == "mean":
                vectors = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
            else:
                table = encoder.model.get_input_embeddings()
                words = table(tokens["input_ids"]).float() - encoder.mean_embedding
                is_word = mask.float() * (1 - tokens["special_tokens_mask"].unsqueeze(2))
                vectors = pool_words(states, words, mask.float(), is_word)
    return unit_rows(vectors, encoder.source)


def pool_words(states: Tensor, words: Tensor, mask: Tensor, is_word: Tensor) -> Tensor:
    """Pools the states and the input embeddings of texts, over all tokens and over the first ones.

    Args:
        states: Last states, shape: (B, T, F), dtype: float32.
        words: Input embeddings minus the vocabulary's mean, shape: (B, T, G), dtype: float32.
        mask: One for tokens, zero for padding, shape: (B, T, 1), dtype: float32.
        is_word: The same, zero for [CLS] and the like, which are in every text.

    Returns:
        Four means, each of length one: of the states, of the embeddings, and both again with
        weights exp(-position / NAME_TOKENS), shape: (B, 2F + 2G), dtype: float32.
    """
    falling = torch.exp(-torch.arange(states.shape[1], device=states.device) / NAME_TOKENS)
    means = [
        (values * weights).sum(dim=1)
        for where in (torch.ones_like(falling), falling)
        for values, weights in ((states, mask * where[:, None]), (words, is_word * where[:, None]))
    ]
    return torch.cat([torch.nn.functional.normalize(mean, dim=1) for mean in means], dim=1)


def load_text_encoder(source: ModelSource, params: TextFeaturesParams) -> TextEncoder:
    """Loads a text model and its tokenizer.

    Raises:
        ModelUnavailableError: If it cannot be loaded or is no encoder.
        ConfigError: If `max_tokens` exceeds the model's limit, or CUDA is requested and there is
            none.
    """
    device = resolve_device(params.device, "text_features.device")
    with loading(source):
        check_model_files(source)
        tokenizer = AutoTokenizer.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=False
        )
        model, info = AutoModel.from_pretrained(
            source.location,
            revision=source.revision,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=choose_dtype(device),
            output_loading_info=True,
        )
    # The pooler is unused, and many checkpoints have none.
    missing = [key for key in info["missing_keys"] if "pooler." not in key]
    require_weights(source, model, missing)
    if tokenizer.pad_token is None:  # any token works: the attention mask hides it
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    has_words = tokenizer.vocab_size > len(tokenizer.all_special_tokens)  # none without files
    is_text_encoder = not (model.config.is_encoder_decoder or hasattr(model.config, "text_config"))
    if not (is_text_encoder and has_words and tokenizer.pad_token is not None):
        raise ModelUnavailableError(
            f"text_features.model in params.yaml: {source.location!r} is no BERT-family encoder "
            f"with its tokenizer (type {model.config.model_type!r}, vocabulary of "
            f"{tokenizer.vocab_size}); set another directory or hub id, or builtin:tfidf-svd"
        )
    limit = min(_max_positions(model), tokenizer.model_max_length)
    if params.max_tokens > limit:
        raise ConfigError(
            f"text_features.max_tokens in params.yaml must be at most {limit} for the model "
            f"{source.location!r}, got {params.max_tokens}"
        )
    with loading(source):
        model = model.to(device).eval()
    encoder = TextEncoder(source, tokenizer, model, params.pooling, params.max_tokens)
    _require_own_vectors(encoder)
    return encoder


def _max_positions(model: Any) -> float:
    """Returns the number of positions of a model; infinity if unknown.

    RoBERTa and similar models count positions after that of padding.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    limits = [limit] if isinstance(limit, int) and limit > 0 else []
    for name, table in model.named_modules():
        if isinstance(table, torch.nn.Embedding) and "position_embedding" in name:
            first = 0 if table.padding_idx is None else table.padding_idx + 1
            limits.append(table.num_embeddings - first)
    return min(limits, default=math.inf)


def _require_own_vectors(encoder: TextEncoder) -> None:
    """Refuses a model if padding changes its vectors, as without attention masks.

    Raises:
        ModelUnavailableError: If a text has another vector beside a longer one.
    """
    short, long = "a", "a b c d e f g h"
    alone, beside = encode_batch(encoder, [short])[0], encode_batch(encoder, [short, long])[0]
    distance = float(np.linalg.norm(alone - beside))
    if distance > TOLERANCE:
        raise ModelUnavailableError(
            f"text_features.model in params.yaml: {encoder.source.location!r} gives a text another "
            f"vector beside a longer one (distance {distance:.2f} of vectors of length one): it "
            f"does not leave padding out; set another model or {encoder.source.builtin}"
        )


def text_chunks(
    source: ModelSource, params: TextFeaturesParams, texts: Sequence[str], root: Path
) -> ChunkStore:
    """Opens the finished chunks of these texts with this model."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(b"%d\n" % len(text))
        digest.update(text.encode("utf-8"))
    key = {
        **describe_encoder(source),
        "pooling": params.pooling,
        "max_tokens": str(params.max_tokens),
        "padding": "right",
        "batch_size": str(params.batch_size),
        "device": choose_device(source, params),
        "texts": digest.hexdigest(),
    }
    return ChunkStore(root, key)


def encode_texts(
    encoder: TextEncoder, texts: Sequence[str], batch_size: int, chunks: ChunkStore
) -> np.ndarray:
    """Encodes every text, with finished chunks from `chunks`.

    Args:
        encoder: A loaded model.
        texts: Texts, at least one.
        batch_size: Texts per batch.
        chunks: Finished chunks of this model on these texts.

    Returns:
        shape: (n, F), dtype: float32, in the order of `texts`.
    """
    parts = []
    with tqdm(total=len(texts), desc="text features", unit="text", disable=None) as bar:
        for number, chunk in enumerate(cut_texts(texts, batch_size)):
            parts.append(chunks.get(number, partial(_encode_chunk, encoder, chunk, batch_size)))
            bar.update(len(chunk))
    in_order = np.concatenate(parts)
    vectors = np.empty_like(in_order)
    vectors[_longest_first(texts)] = in_order
    return vectors


def cut_texts(texts: Sequence[str], batch_size: int) -> Iterator[list[str]]:
    """Cuts texts into chunks of similar length."""
    order = _longest_first(texts)
    size = batch_size * CHUNK_BATCHES
    for start in range(0, len(texts), size):
        yield [texts[index] for index in order[start : start + size]]


def load_chunk_encoder(
    source: ModelSource, params: TextFeaturesParams
) -> Callable[[Sequence[str]], np.ndarray]:
    """Loads the model in a worker and returns the encoder of a chunk."""
    return partial(_encode_chunk, load_text_encoder(source, params), batch_size=params.batch_size)


def _longest_first(texts: Sequence[str]) -> list[int]:
    """Sorts texts by length, longest first, so that the first batch needs the most memory."""
    return sorted(range(len(texts)), key=lambda index: (-len(texts[index]), index))


def _encode_chunk(encoder: TextEncoder, texts: Sequence[str], batch_size: int) -> np.ndarray:
    """Encodes texts in consecutive batches."""
    starts = range(0, len(texts), batch_size)
    return np.concatenate([encoder.embed(texts[start : start + batch_size]) for start in starts])
