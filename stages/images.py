"""Stage `images`: reads data/raw, data/graph and data/media, writes data/images.

An entity's own images come before looked-up ones.
"""

from imf_core.base.params_file import load_params
from imf_core.images.select import ImageFetcher
from imf_core.images.write_shards import write_image_shards
from imf_core.raster.reencode import NO_PICTURE, ONE_COLOUR
from imf_core.web.store import WebStore
from stages.paths import GRAPH, IMAGES, MEDIA, PARAMS, RAW
from stages.runner import mirror, run_stage, state_folder

FINAL = frozenset({"not_found", "refused"}) | NO_PICTURE
"""Statuses that a refetch may change; kept until `imf forget` clears them."""


def main() -> None:
    """Fetches, checks and re-encodes pictures and prints counts by status."""
    params = load_params(PARAMS)
    with WebStore(state_folder() / "web") as store:
        fetcher = ImageFetcher(store, RAW, params.images, params.fetch, mirror())
        summary = write_image_shards(
            [GRAPH / "image_sources.parquet", MEDIA / "image_sources.parquet"],
            GRAPH / "entities.parquet",
            IMAGES,
            params.images,
            fetcher,
        )
    print(f"images: {summary.num_with_images} of {summary.num_entities} entities have a picture")
    others = ", the others name these:" if any(summary.sources.values()) else ""
    print(f"  {summary.num_without_source} entities name none{others}")
    for status, count in summary.sources.items():
        if count:
            example = summary.examples.get(status)
            print(f"  {status}: {count}" + (f" (first: {example})" if example else ""))
    if summary.num_one_colour:
        print(f"  {summary.num_one_colour} of the pictures are {ONE_COLOUR}, so they show nothing")
    final = [status for status, count in summary.sources.items() if count and status in FINAL]
    if final:
        print(
            f"  status {', '.join(final)}: replace files of your own; to fetch from the web again: "
            "imf forget --failed, then dvc repro --force --single-item images"
        )
    if summary.sources["unreachable"]:
        print("  to try the unreachable again: dvc repro --force --single-item images")
    if store.warning:
        print(store.warning)


if __name__ == "__main__":
    run_stage(main)
