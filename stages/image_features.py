"""Stage `image_features`: reads data/graph and data/images, writes data/features/image.parquet."""

from imf_core.config import load_params
from imf_core.device import explain_out_of_memory
from imf_core.features.images_to_vectors import write_image_features
from stages.layout import GRAPH, IMAGE_FEATURES, IMAGES, PARAMS
from stages.runner import run_stage, state_folder


def main() -> None:
    """Encodes the pictures and prints how many entities have one."""
    params = load_params(PARAMS).image_features
    with explain_out_of_memory("lower image_features.batch_size or image_features.dim"):
        features = write_image_features(
            GRAPH / "entities.parquet", IMAGES, params, state_folder() / "features", IMAGE_FEATURES
        )
    present, total = int(features.is_present.sum()), len(features.is_present)
    print(f"image features: {present} of {total} entities have an image")
    print(f"  {params.model}, {features.vectors.shape[1]} numbers each")


if __name__ == "__main__":
    run_stage(main)
