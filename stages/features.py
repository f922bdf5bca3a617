"""Stages `image_features`, `text_features` and so on: `python -m stages.features MODALITY`.

Each reads data/graph and the inputs of its modality, and writes data/features/MODALITY.parquet. If
`precomputed` in its section names a file of ready features, that is read instead of the inputs.
"""

import sys

from imf_core.base.config import load_params
from imf_core.base.device import explain_out_of_memory
from imf_core.base.modality import FeatureInputs, find_modalities
from imf_core.features.shared.precomputed import describe, write_precomputed_features
from stages.paths import FEATURES, GRAPH, IMAGES, MEDIA, PARAMS
from stages.runner import ray_address, run_stage, state_folder


def main() -> None:
    """Encodes the inputs of a modality, or reads ready features, and prints how many there are."""
    modality = find_modalities()[sys.argv[1]]
    section, output = modality.section, FEATURES[modality.name]
    params = load_params(PARAMS).features(modality)
    inputs = feature_inputs()
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


def feature_inputs() -> FeatureInputs:
    """Returns the inputs of all feature stages."""
    return FeatureInputs(GRAPH, MEDIA, IMAGES, state_folder() / "features", ray_address())


if __name__ == "__main__":
    run_stage(main)
