"""Text features: built-in, of a pretrained model, or precomputed."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imf_core.base.modality import EncoderParams
from imf_core.features.shared.encoded_modality import EncodedModality

if TYPE_CHECKING:
    from imf_core.features.text.text_encoding import TextEncoding


class TextFeaturesParams(EncoderParams):
    """The text encoder."""

    model: str = Field(min_length=1, description="`builtin:tfidf-svd`, hub id or directory")
    pooling: Literal["mean", "cls", "words"] = Field(
        description="of token states (transformers only)"
    )
    max_tokens: int = Field(ge=8, le=8192, description="longer texts are cut (transformers only)")
    batch_size: int = Field(ge=1, le=4096, description="texts encoded at once")


class Text(EncodedModality[TextFeaturesParams]):
    """Names and descriptions of entities."""

    name = "text"
    channel = "textual"
    noun = "a text"
    takes_words = True
    params = TextFeaturesParams

    def encoding(self) -> "type[TextEncoding]":
        """Imports the encoders; see `EncodedModality`."""
        from imf_core.features.text.text_encoding import TextEncoding  # noqa: PLC0415

        return TextEncoding


MODALITY = Text()
