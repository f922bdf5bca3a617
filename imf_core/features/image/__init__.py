"""Image features: built-in, of a pretrained model, or precomputed."""

from typing import TYPE_CHECKING

from pydantic import Field

from imf_core.base.modality import EncoderParams
from imf_core.features.shared.encoded_modality import EncodedModality

if TYPE_CHECKING:
    from imf_core.features.image.image_encoding import ImageEncoding


class ImageFeaturesParams(EncoderParams):
    """The image encoder."""

    model: str = Field(min_length=1, description="`builtin:colour-pca`, hub id or directory")
    batch_size: int = Field(ge=1, le=4096, description="images encoded at once")


class Image(EncodedModality[ImageFeaturesParams]):
    """Pictures of entities."""

    name = "image"
    channel = "visual"
    noun = "an image"
    params = ImageFeaturesParams

    def encoding(self) -> "type[ImageEncoding]":
        """Imports the encoders; see `EncodedModality`."""
        from imf_core.features.image.image_encoding import ImageEncoding  # noqa: PLC0415

        return ImageEncoding


MODALITY = Image()
