"""A modality with a built-in encoder and pretrained ones, imported where they are needed."""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imf_core.base.modality import EncoderParams, FeatureInputs, Modality, UnseenEncoder

if TYPE_CHECKING:
    from imf_core.features.shared.encoding import Encoding
    from imf_core.graph.feature_table import FeatureTable

ParamsT = TypeVar("ParamsT", bound=EncoderParams)


class EncodedModality(Modality[ParamsT]):
    """A modality with the encoders of an `Encoding`."""

    @abstractmethod
    def encoding(self) -> "type[Encoding[ParamsT]]":
        """Imports and returns the class of the encoders."""

    def write(self, inputs: FeatureInputs, params: ParamsT, output: Path) -> "FeatureTable":
        """Encodes the inputs of all entities; see `Modality`."""
        return self.encoding()(inputs, params).write(output)

    def fit_unseen(
        self, inputs: FeatureInputs, params: ParamsT, table: "FeatureTable"
    ) -> UnseenEncoder:
        """Returns the encoder of a run's features; see `Modality`."""
        from imf_core.features.shared.unseen import IN_PARAMS, EncodingOfUnseen  # noqa: PLC0415

        kind = self.encoding()
        return EncodingOfUnseen(
            kind,
            params,
            inputs.re_encoding,
            table,
            IN_PARAMS,
            lambda: kind(inputs, params).fit_again(table),
        )

    def load_unseen(self, folder: Path, table: "FeatureTable") -> UnseenEncoder:
        """Reads the encoder of a packed model; see `Modality`."""
        from imf_core.features.shared.unseen import load_encoding  # noqa: PLC0415

        return load_encoding(self.encoding(), self.params, folder, table)
