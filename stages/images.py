"""Stage `images`: reads data/graph/image_sources.parquet, writes data/images."""

from imf_core.config import load_params
from imf_core.features.fetch import ImageFetcher
from imf_core.features.shards import write_image_shards
from stages.layout import GRAPH, IMAGES, PARAMS, RAW
from stages.runner import mirror, run_stage, state_folder


def main() -> None:
    """Checks and re-encodes every picture and prints what became of them."""
    params = load_params(PARAMS).images
    with ImageFetcher(
        state_folder() / "media",
        timeout_seconds=params.timeout_seconds,
        max_bytes=params.max_source_bytes,
        mirror=mirror(),
    ) as fetcher:
        summary = write_image_shards(
            GRAPH / "image_sources.parquet", RAW, IMAGES, params, fetcher.fetch
        )
    total = sum(summary.counts.values())
    print(f"images: {total} sources, {summary.num_entities} entities have a picture")
    for status, count in summary.counts.items():
        if count:
            print(f"  {status}: {count}")
    if summary.counts["unreachable"]:
        print("  to try the unreachable again: dvc repro --force --single-item images")


if __name__ == "__main__":
    run_stage(main)
