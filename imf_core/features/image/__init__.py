"""Image features: built-in, of a pretrained model, or precomputed."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from imf_core.base.modality import EncoderParams, FeatureInputs, Modality, UnseenInput

if TYPE_CHECKING:
    from torch import Tensor

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

    def encode_unseen(
        self,
        unseen: UnseenInput,
        inputs: FeatureInputs,
        params: ImageFeaturesParams,
        table: "FeatureTable",
    ) -> "Tensor":
        """Encodes the picture at the path `unseen.given`; see `Modality`."""
        from imf_core.features.image.image_encoding import ImageEncoding  # noqa: PLC0415

        return ImageEncoding(inputs, params).encode_unseen(unseen, table)


MODALITY = Image()
