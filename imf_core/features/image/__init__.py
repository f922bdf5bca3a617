"""Image features: built-in, of a pretrained model, or precomputed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from imf_core.base.modality import EncoderParams, FeatureInputs, Modality, UnseenEncoder

if TYPE_CHECKING:
    from imf_core.graph.feature_table import FeatureTable


class ImageFeaturesParams(EncoderParams):
    """The image encoder."""

    model: str = Field(min_length=1, description="`builtin:colour-pca`, hub id or directory")
    batch_size: int = Field(ge=1, le=4096, description="images encoded at once")


class Image(Modality[ImageFeaturesParams]):
    """Pictures of entities."""

    name = "image"
    channel = "visual"
    noun = "an image"
    params = ImageFeaturesParams

    def write(
        self, inputs: FeatureInputs, params: ImageFeaturesParams, output: Path
    ) -> "FeatureTable":
        """Encodes the pictures of all entities; see `Modality`."""
        from imf_core.features.image.image_encoding import ImageEncoding  # noqa: PLC0415

        return ImageEncoding(inputs, params).write(output)

    def fit_unseen(
        self,
        inputs: FeatureInputs,
        params: ImageFeaturesParams,
        table: "FeatureTable",
    ) -> UnseenEncoder:
        """Returns the encoder of pictures in files; see `Modality`."""
        from imf_core.features.image.image_encoding import ImageEncoding  # noqa: PLC0415
        from imf_core.features.shared.unseen import IN_PARAMS, EncodingOfUnseen  # noqa: PLC0415

        def fit() -> Any:
            return ImageEncoding(inputs, params).fit_again(table)

        return EncodingOfUnseen(ImageEncoding, params, inputs.re_encoding, table, IN_PARAMS, fit)

    def load_unseen(self, folder: Path, table: "FeatureTable") -> UnseenEncoder:
        """Reads the encoder of a packed model; see `Modality`."""
        from imf_core.features.image.image_encoding import (  # noqa: PLC0415
            ImageEncoding,
            load_builtin,
        )
        from imf_core.features.shared.unseen import load_encoding  # noqa: PLC0415

        return load_encoding(ImageEncoding, self.params, folder, table, load_builtin)


MODALITY = Image()
