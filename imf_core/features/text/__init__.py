"""Text features: built-in, of a pretrained model, or precomputed."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imf_core.base.modality import EncoderParams, FeatureInputs, Modality, UnseenInput

if TYPE_CHECKING:
    from torch import Tensor

    from imf_core.graph.feature_table import FeatureTable


class TextFeaturesParams(EncoderParams):
    """The text encoder."""

    model: str = Field(min_length=1, description="`builtin:tfidf-svd`, hub id or directory")
    pooling: Literal["mean", "cls"] = Field(description="of token states (transformers only)")
    max_tokens: int = Field(ge=8, le=8192, description="longer texts are cut (transformers only)")
    batch_size: int = Field(ge=1, le=4096, description="texts encoded at once")


class Text(Modality[TextFeaturesParams]):
    """Names and descriptions of entities."""

    name = "text"
    channel = "textual"
    noun = "a text"
    params = TextFeaturesParams

    def write(
        self, inputs: FeatureInputs, params: TextFeaturesParams, output: Path
    ) -> "FeatureTable":
        """Encodes the texts of all entities; see `Modality`."""
        from imf_core.features.text.text_encoding import TextEncoding  # noqa: PLC0415

        return TextEncoding(inputs, params).write(output)

    def encode_unseen(
        self,
        unseen: UnseenInput,
        inputs: FeatureInputs,
        params: TextFeaturesParams,
        table: "FeatureTable",
    ) -> "Tensor":
        """Encodes the text `unseen.given`, after the name if there is one; see `Modality`."""
        from imf_core.features.text.text_encoding import TextEncoding  # noqa: PLC0415

        return TextEncoding(inputs, params).encode_unseen(unseen, table)


MODALITY = Text()
