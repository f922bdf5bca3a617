"""Numeric features: quantities and dates of entities, as quantiles of each attribute.

`builtin:quantiles`: two numbers per attribute. The first is the quantile of the entity's value
among all values of the attribute, from -1 to 1, so units and outliers do not matter; the second is
1 where the entity has a value. Both are 0 without a value.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from imf_core.base.errors import DataError, QuestionError
from imf_core.base.modality import FeatureInputs, FeaturesParams, Modality, UnseenEncoder

if TYPE_CHECKING:
    from torch import Tensor

    from imf_core.graph.feature_table import FeatureTable
    from imf_core.graph.numbers import Numbers

BUILTIN = "builtin:quantiles"
ATTRIBUTES, VALUES = "attributes.json", "values.safetensors"
"""Files of a saved encoder."""

LEAST_VALUES = 2
"""Values of an attribute, at least; a single one has no quantile."""


class NumericFeaturesParams(FeaturesParams):
    """Section `numeric_features`."""

    model: Literal["builtin:quantiles"] = Field(description="the only encoder")
    dim: int = Field(ge=1, le=2048, description="at most so many attributes, the most frequent")


class QuantileEncoder:
    """Quantiles of the most frequent attributes.

    Args:
        values: All values of each attribute, by its label, shape: (n,), dtype: float64.

    Attributes:
        attributes: Labels of the attributes in the order of the columns; length A.
    """

    def __init__(self, values: Mapping[str, np.ndarray]) -> None:
        self.attributes = list(values)
        self._sorted = [np.sort(each) for each in values.values()]

    @classmethod
    def fit(cls, numbers: "Numbers", num_attributes: int) -> "QuantileEncoder":
        """Selects the attributes with the most values.

        Args:
            numbers: All numbers of the graph.
            num_attributes: Upper bound of A.
        """
        counts = np.bincount(numbers.attribute_ids, minlength=len(numbers.attributes))
        frequent = np.argsort(-counts, kind="stable")[:num_attributes]
        return cls(
            {
                numbers.attributes[attribute]: numbers.values[numbers.attribute_ids == attribute]
                for attribute in frequent
                if counts[attribute] >= LEAST_VALUES
            }
        )

    def encode_all(self, numbers: "Numbers", num_entities: int) -> np.ndarray:
        """Encodes all entities; several values of an attribute are averaged.

        Returns:
            shape: (E, 2 A), dtype: float32.
        """
        rows = np.zeros((num_entities, max(1, 2 * len(self.attributes))), np.float32)
        for column, attribute in enumerate(self.attributes):
            is_here = numbers.attribute_ids == numbers.attributes.index(attribute)
            entities = numbers.entity_ids[is_here]
            counts = np.bincount(entities, minlength=num_entities)
            quantiles = self._quantiles(column, numbers.values[is_here])
            sums = np.bincount(entities, quantiles, minlength=num_entities)
            rows[:, 2 * column] = sums / np.maximum(counts, 1)
            rows[:, 2 * column + 1] = counts > 0
        return rows

    def encode(self, values: dict[str, float]) -> np.ndarray:
        """Encodes one entity.

        Args:
            values: Value of each attribute, by its label.

        Returns:
            shape: (2 A,), dtype: float32.
        """
        row = np.zeros(2 * len(self.attributes), np.float32)
        for column, attribute in enumerate(self.attributes):
            if attribute in values:
                row[2 * column] = self._quantiles(column, np.array([values[attribute]]))[0]
                row[2 * column + 1] = 1.0
        return row

    def save(self, folder: Path) -> None:
        """Writes `attributes.json` and the sorted values of each attribute."""
        from imf_core.base.artifacts import write_json  # noqa: PLC0415
        from imf_core.features.shared.unseen import write_arrays  # noqa: PLC0415

        write_json(folder / ATTRIBUTES, self.attributes)
        arrays = {f"{column}": each for column, each in enumerate(self._sorted)}
        write_arrays(folder / VALUES, arrays)

    @classmethod
    def load(cls, folder: Path) -> "QuantileEncoder":
        """Reads the files of `save`.

        Raises:
            DataError: If a file is missing or damaged, or the two are not of one encoder.
        """
        from imf_core.base.artifacts import read_json  # noqa: PLC0415
        from imf_core.features.shared.unseen import read_arrays  # noqa: PLC0415

        attributes, arrays = read_json(folder / ATTRIBUTES), read_arrays(folder / VALUES)
        if not isinstance(attributes, list) or len(attributes) != len(arrays):
            raise DataError(
                f"{folder / VALUES} has {len(arrays)} arrays, but {ATTRIBUTES} beside it does not "
                "list as many attributes; copy both from one packed model"
            )
        return cls({label: arrays[f"{column}"] for column, label in enumerate(attributes)})

    def _quantiles(self, column: int, values: np.ndarray) -> np.ndarray:
        """Returns mid-rank quantiles from -1 to 1, shape: (n,) -> (n,)."""
        known = self._sorted[column]
        below = np.searchsorted(known, values, side="left")
        not_above = np.searchsorted(known, values, side="right")
        quantiles: np.ndarray = (below + not_above) / len(known) - 1.0
        return quantiles


class Numeric(Modality[NumericFeaturesParams]):
    """Quantities and dates of entities."""

    name = "numeric"
    channel = "numeric"
    noun = "a number"
    takes_words = True
    params = NumericFeaturesParams
    is_automatic = False

    def write(
        self, inputs: FeatureInputs, params: NumericFeaturesParams, output: Path
    ) -> "FeatureTable":
        """Encodes the numbers of all entities; see `Modality`."""
        import torch  # noqa: PLC0415 - loads slowly

        from imf_core.graph.entities import read_num_entities  # noqa: PLC0415
        from imf_core.graph.feature_table import FeatureTable, save_features  # noqa: PLC0415

        num_entities, fingerprint = read_num_entities(inputs.entities)
        _, rows = _fit(inputs.graph, num_entities, fingerprint, params)
        is_present = torch.from_numpy(rows[:, 1::2].any(axis=1))
        features = FeatureTable(torch.from_numpy(rows), is_present, {"model": BUILTIN})
        save_features(features, fingerprint, output)
        return features

    def fit_unseen(
        self,
        inputs: FeatureInputs,
        params: NumericFeaturesParams,
        table: "FeatureTable",
    ) -> UnseenEncoder:
        """Returns the encoder of numbers such as `height 1.78; born 1879-03-14`; see `Modality`."""
        from imf_core.features.shared.unseen import require_equal  # noqa: PLC0415
        from imf_core.graph.entities import read_num_entities  # noqa: PLC0415

        def fit() -> QuantileEncoder:
            num_entities, fingerprint = read_num_entities(inputs.entities)
            encoder, rows = _fit(inputs.graph, num_entities, fingerprint, params)
            require_equal(self.section, rows, table.vectors.numpy())
            return encoder

        return UnseenNumbers(table, fit)

    def load_unseen(self, folder: Path, table: "FeatureTable") -> UnseenEncoder:
        """Reads the encoder of a packed model; see `Modality`."""
        return UnseenNumbers(table, lambda: QuantileEncoder.load(folder))


class UnseenNumbers(UnseenEncoder):
    """Encodes numbers of unseen entities.

    Args:
        table: The graph's features.
        open_fitted: Returns the encoder; called where it is needed.
    """

    def __init__(self, table: "FeatureTable", open_fitted: Callable[[], QuantileEncoder]) -> None:
        self._table, self._open_fitted = table, open_fitted

    @cached_property
    def _encoder(self) -> QuantileEncoder:
        from imf_core.features.shared.unseen import require_encoder  # noqa: PLC0415

        require_encoder(MODALITY.section, self._table)
        return self._open_fitted()

    def encode(self, inputs: Sequence[str]) -> "Tensor":
        """Encodes texts such as `height 1.78; born 1879-03-14`; see `UnseenEncoder`."""
        import torch  # noqa: PLC0415 - loads slowly

        encoder = self._encoder
        rows = [encoder.encode(_parse(each, encoder.attributes)) for each in inputs]
        return torch.from_numpy(np.stack(rows))

    def save(self, folder: Path) -> None:
        """Writes the sorted values of each attribute; see `UnseenEncoder`."""
        if self._table.provenance.get("model") == BUILTIN and bool(self._table.is_present.any()):
            self._encoder.save(folder)


def _fit(
    graph: Path, num_entities: int, fingerprint: str, params: NumericFeaturesParams
) -> tuple[QuantileEncoder, np.ndarray]:
    """Fits the encoder to a graph's numbers and encodes all entities."""
    from imf_core.graph.numbers import load_numbers  # noqa: PLC0415

    numbers = load_numbers(graph, fingerprint)
    encoder = QuantileEncoder.fit(numbers, params.dim)
    return encoder, encoder.encode_all(numbers, num_entities)


def _parse(given: str, attributes: Sequence[str]) -> dict[str, float]:
    """Reads `attribute value` pairs, separated by semicolons.

    An attribute may be given by a part of its label that no other one has.
    """
    from imf_core.graph.numbers import OddValue, parse_value  # noqa: PLC0415

    values: dict[str, float] = {}
    for pair in filter(None, map(str.strip, given.strip("; ").split(";"))):
        word, _, text = pair.rpartition(" ")
        value = parse_value(text)
        if not word or isinstance(value, OddValue):
            raise QuestionError(
                f"numbers must be written as `attribute value; attribute value`, got {pair!r}"
            )
        attribute = _find_attribute(word.strip(" ="), attributes)
        if attribute in values:
            raise QuestionError(f"{attribute} must have one value, got {pair!r} as a further one")
        values[attribute] = value
    if not values:
        raise QuestionError(f"numbers must be `attribute value; attribute value`, got {given!r}")
    return values


def _find_attribute(word: str, attributes: Sequence[str]) -> str:
    if word in attributes:
        return word
    found = [label for label in attributes if word.casefold() in label.casefold()]
    if len(found) != 1:
        some = ", ".join((found or list(attributes))[:10])
        problem = (
            f"{len(found)} attributes have {word!r} in their label"
            if found
            else f"no attribute has {word!r} in its label"
        )
        raise QuestionError(f"{problem}; name one of them: {some}")
    return found[0]


MODALITY = Numeric()
