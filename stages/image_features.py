"""Stage `image_features`: reads data/graph and data/images, writes data/features/image.parquet.

If `image_features.precomputed` names a file of ready features, it is read instead of images.
"""

from imf_core.base.config import load_params
from imf_core.base.device import explain_out_of_memory
from imf_core.features.image.images_to_vectors import write_image_features
from imf_core.features.shared.precomputed import describe, write_precomputed_features
from stages.paths import GRAPH, IMAGE_FEATURES, IMAGES, PARAMS
from stages.runner import ray_address, run_stage, state_folder


def main() -> None:
    """Encodes the pictures, or reads ready features, and prints the number of entities with any."""
    params = load_params(PARAMS).image_features
    if params.precomputed is not None:
        found = write_precomputed_features(
            "image_features", GRAPH / "entities.parquet", params.precomputed, IMAGE_FEATURES
        )
        print("\n".join(describe(found)))
        return
    with explain_out_of_memory("lower image_features.batch_size or image_features.dim"):
        features = write_image_features(
            GRAPH / "entities.parquet",
            IMAGES,
            params,
            state_folder() / "features",
            IMAGE_FEATURES,
            ray_address(),
        )
    present, total = int(features.is_present.sum()), len(features.is_present)
    print(f"image features: {present} of {total} entities have an image")
    print(f"  {params.model}, {features.vectors.shape[1]} numbers each")


if __name__ == "__main__":
    run_stage(main)
