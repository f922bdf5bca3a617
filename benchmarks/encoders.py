"""Image and text encoders of common shapes with random weights, in their usual file formats."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertModel,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
)

from benchmarks.texts import make_vocabulary
from imf_core.config import ImageFeaturesParams, TextFeaturesParams
from imf_core.features.model_source import ModelSource
from imf_core.features.pretrained_image import ImageEncoder, load_image_encoder
from imf_core.features.pretrained_text import TextEncoder, load_text_encoder

PIXELS = 224
CLIP_B32 = CLIPVisionConfig(
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    image_size=PIXELS,
    patch_size=32,
    projection_dim=512,
)
BERT_BASE = BertConfig()


def make_image_encoder(
    config: CLIPVisionConfig, params: ImageFeaturesParams, folder: Path
) -> ImageEncoder:
    """Saves a CLIP image encoder with random weights in `folder` and loads it as the stage does.

    Its input has `PIXELS` for any shape of encoder.
    """
    torch.manual_seed(0)
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": PIXELS}, crop_size={"height": PIXELS, "width": PIXELS}
    ).save_pretrained(folder)
    return load_image_encoder(ModelSource("image_features", str(folder), None, "none"), params)


def make_text_encoder(config: BertConfig, params: TextFeaturesParams, folder: Path) -> TextEncoder:
    """Saves a BERT with random weights in `folder` and loads it as the stage does."""
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    vocabulary = make_vocabulary(config.vocab_size)
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=config.max_position_embeddings,
    ).save_pretrained(folder)
    return load_text_encoder(ModelSource("text_features", str(folder), None, "none"), params)
