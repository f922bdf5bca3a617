"""Text vectors from a BERT-family model, resumable.

In: texts. Out: one vector of length one per text: the mean of its token states, or the state of
its first token. Texts are sorted by length and padded only within a batch, which halves the work;
chunks of finished batches are kept until the whole is written.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from imf_core.config import TextFeaturesParams
from imf_core.device import resolve_device
from imf_core.errors import ConfigError, ModelUnavailableError
from imf_core.features.model_source import ModelSource
from imf_core.features.pretrained import (
    choose_device,
    choose_dtype,
    describe_encoder,
    loading,
    require_weights,
    unit_rows,
)
from imf_core.features.resume import ChunkStore

CHUNK_BATCHES = 16  # what a kill can cost


@dataclass(frozen=True)
class TextEncoder:
    """A loaded text model.

    Attributes:
        source: Where it came from.
        tokenizer: Cuts texts into tokens.
        model: In evaluation mode, on its device.
        pooling: mean: of the states of all tokens that are not padding; cls: the first token's.
        max_tokens: Longer texts are cut.
    """

    source: ModelSource
    tokenizer: Any
    model: Any
    pooling: Literal["mean", "cls"]
    max_tokens: int

    @property
    def provenance(self) -> dict[str, str]:
        """What made the vectors."""
        return {
            **self.source.provenance(),
            "processor": type(self.tokenizer).__name__,
            "pooling": self.pooling,
            "max_tokens": str(self.max_tokens),
        }

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes one batch; shape: (B, F), dtype: float32, rows of length one."""
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            states = self.model(**tokens).last_hidden_state.float()  # (B, T, F)
        if self.pooling == "cls":
            return unit_rows(states[:, 0], self.source)
        mask = tokens["attention_mask"].unsqueeze(2)  # (B, T, 1)
        return unit_rows((states * mask).sum(dim=1) / mask.sum(dim=1), self.source)


def load_text_encoder(source: ModelSource, params: TextFeaturesParams) -> TextEncoder:
    """Loads a text model and its tokenizer.

    Raises:
        ModelUnavailableError: If it cannot be loaded or is no encoder.
        ConfigError: If `max_tokens` is more than the model can take, or CUDA is asked for and
            there is none.
    """
    device = resolve_device(params.device, "text_features.device")
    with loading(source):
        tokenizer = AutoTokenizer.from_pretrained(source.location, revision=source.revision)
        model, info = AutoModel.from_pretrained(
            source.location,
            revision=source.revision,
            use_safetensors=True,
            dtype=choose_dtype(device),
            output_loading_info=True,
        )
    # The pooler is not used, and many checkpoints come without one.
    require_weights(source, [key for key in info["missing_keys"] if "pooler." not in key])
    has_words = tokenizer.vocab_size > len(tokenizer.all_special_tokens)  # without files: none
    is_text_encoder = not (model.config.is_encoder_decoder or hasattr(model.config, "text_config"))
    if not (is_text_encoder and has_words and tokenizer.pad_token is not None):
        raise ModelUnavailableError(
            f"text_features.model in params.yaml: {source.location!r} is no BERT-family encoder "
            f"with its tokenizer (type {model.config.model_type!r}, vocabulary of "
            f"{tokenizer.vocab_size}); set another directory or hub id, or builtin:tfidf-svd"
        )
    limit = getattr(model.config, "max_position_embeddings", params.max_tokens)
    limit = min(limit, tokenizer.model_max_length)
    if params.max_tokens > limit:
        raise ConfigError(
            f"text_features.max_tokens in params.yaml must be at most {limit} for the model "
            f"{source.location!r}, got {params.max_tokens}"
        )
    encoder = model.to(device).eval()
    return TextEncoder(source, tokenizer, encoder, params.pooling, params.max_tokens)


def text_chunks(
    source: ModelSource, params: TextFeaturesParams, texts: Sequence[str], root: Path
) -> ChunkStore:
    """Opens the finished work on these texts with this model."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(b"%d\n" % len(text))
        digest.update(text.encode("utf-8"))
    key = {
        **describe_encoder(source),
        "pooling": params.pooling,
        "max_tokens": str(params.max_tokens),
        "batch_size": str(params.batch_size),
        "device": choose_device(source, params),
        "texts": digest.hexdigest(),
    }
    return ChunkStore(root, key)


def encode_texts(
    encoder: TextEncoder, texts: Sequence[str], batch_size: int, chunks: ChunkStore
) -> np.ndarray:
    """Encodes every text, taking from `chunks` what an earlier run has finished.

    Args:
        encoder: A loaded model.
        texts: At least one.
        batch_size: Texts per batch.
        chunks: Finished work of this model on these texts.

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
    """Loads the model and returns what encodes one chunk, for a worker."""
    return partial(_encode_chunk, load_text_encoder(source, params), batch_size=params.batch_size)


def _longest_first(texts: Sequence[str]) -> list[int]:
    """Orders texts by length: if a batch does not fit into memory, it is the first one."""
    return sorted(range(len(texts)), key=lambda index: (-len(texts[index]), index))


def _encode_chunk(encoder: TextEncoder, texts: Sequence[str], batch_size: int) -> np.ndarray:
    """Encodes texts in batches of neighbours."""
    starts = range(0, len(texts), batch_size)
    return np.concatenate([encoder.embed(texts[start : start + batch_size]) for start in starts])
