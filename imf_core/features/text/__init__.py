"""Text features: built-in, of a pretrained model, or precomputed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from imf_core.base.modality import EncoderParams, FeatureInputs, Modality, UnseenEncoder

if TYPE_CHECKING:
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

    def fit_unseen(
        self,
        inputs: FeatureInputs,
        params: TextFeaturesParams,
        table: "FeatureTable",
    ) -> UnseenEncoder:
        """Returns the encoder of texts; see `Modality`."""
        from imf_core.features.shared.unseen import IN_PARAMS, EncodingOfUnseen  # noqa: PLC0415
        from imf_core.features.text.text_encoding import TextEncoding  # noqa: PLC0415

        def fit() -> Any:
            return TextEncoding(inputs, params).fit_again(table)

        return EncodingOfUnseen(TextEncoding, params, inputs.re_encoding, table, IN_PARAMS, fit)

    def load_unseen(self, folder: Path, table: "FeatureTable") -> UnseenEncoder:
        """Reads the encoder of a packed model; see `Modality`."""
        from imf_core.features.shared.unseen import load_encoding  # noqa: PLC0415
        from imf_core.features.text.text_encoding import (  # noqa: PLC0415
            TextEncoding,
            load_builtin,
        )

        return load_encoding(TextEncoding, self.params, folder, table, load_builtin)


MODALITY = Text()
