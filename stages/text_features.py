"""Stage `text_features`: reads data/graph and data/media, writes data/features/text.parquet.

If `text_features.precomputed` names a file of ready features, it is read instead of texts.
"""

from imf_core.base.config import load_params
from imf_core.base.device import explain_out_of_memory
from imf_core.features.shared.precomputed import describe, write_precomputed_features
from imf_core.features.text.texts_to_vectors import write_text_features
from stages.paths import GRAPH, MEDIA, PARAMS, TEXT_FEATURES
from stages.runner import ray_address, run_stage, state_folder


def main() -> None:
    """Encodes the texts, or reads ready features, and prints the number of entities with any."""
    params = load_params(PARAMS).text_features
    if params.precomputed is not None:
        found = write_precomputed_features(
            "text_features", GRAPH / "entities.parquet", params.precomputed, TEXT_FEATURES
        )
        print("\n".join(describe(found)))
        return
    with explain_out_of_memory("lower text_features.batch_size or text_features.dim"):
        features = write_text_features(
            GRAPH / "entities.parquet",
            MEDIA / "descriptions.parquet",
            params,
            state_folder() / "features",
            TEXT_FEATURES,
            ray_address(),
        )
    present, total = int(features.is_present.sum()), len(features.is_present)
    print(f"text features: {present} of {total} entities have a text")
    print(f"  {params.model}, {features.vectors.shape[1]} numbers each")


if __name__ == "__main__":
    run_stage(main)
