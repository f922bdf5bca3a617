"""Stages `image_features`, `text_features` and so on: `python -m stages.features MODALITY`.

Each reads data/graph and the inputs of its modality, and writes data/features/MODALITY.parquet. If
`precomputed` in its section names a file of ready features, that is read instead of the inputs.
"""

import sys
from typing import Any

from imf_core.base.config import ImagesParams
from imf_core.base.device import explain_out_of_memory
from imf_core.base.errors import ConfigError
from imf_core.base.modality import FeatureInputs, Modality, find_modalities
from imf_core.base.params_file import load_params
from imf_core.features.shared.precomputed import describe, write_precomputed_features
from stages.paths import FEATURES, GRAPH, IMAGES, MEDIA, PARAMS
from stages.runner import ray_address, run_stage, state_folder


def main() -> None:
    """Encodes the inputs of a modality, or reads ready features, and prints how many there are."""
    modality = _find_modality(sys.argv[1:])
    section, output = modality.section, FEATURES[modality.name]
    whole = load_params(PARAMS)
    params, inputs = whole.features(modality), feature_inputs(whole.images)
    if params.precomputed is not None:
        found = write_precomputed_features(section, inputs.entities, params.precomputed, output)
        print("\n".join(describe(found)))
        return
    keys = [key for key in ("batch_size", "dim") if key in type(params).model_fields]
    with explain_out_of_memory("lower " + " or ".join(f"{section}.{key}" for key in keys)):
        features = modality.write(inputs, params, output)
    present, total = int(features.is_present.sum()), len(features.is_present)
    print(f"{modality.name} features: {present} of {total} entities have {modality.noun}")
    print(f"  {params.model}, {features.vectors.shape[1]} numbers each")


def _find_modality(words: list[str]) -> Modality[Any]:
    """Returns the modality that the command line names."""
    if len(words) != 1 or words[0] not in find_modalities():
        raise ConfigError(
            f"give one of the modalities {', '.join(find_modalities())}, got "
            f"{' '.join(words) or 'nothing'}: python -m stages.features MODALITY"
        )
    return find_modalities()[words[0]]


def feature_inputs(re_encoding: ImagesParams) -> FeatureInputs:
    """Returns the inputs of all feature stages.

    Args:
        re_encoding: Section `images`.
    """
    unfinished = state_folder() / "features"
    return FeatureInputs(GRAPH, MEDIA, IMAGES, unfinished, re_encoding, ray_address())


if __name__ == "__main__":
    run_stage(main)
