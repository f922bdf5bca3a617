"""Stage `media`: reads data/graph, writes texts and image addresses of the web to data/media.

It sends requests only if `media.source` is set.
"""

from imf_core.base.params_file import load_params
from imf_core.sources.layout import ENTITY_IDENTIFIERS
from imf_core.web.store import WebStore
from imf_core.wikimedia.api import Client
from imf_core.wikimedia.identifiers import read_identifier_map
from imf_core.wikimedia.lookup import look_up_media, write_without_look_up
from imf_core.wikimedia.records import MediaSummary
from stages.paths import GRAPH, MEDIA, PARAMS, RAW
from stages.runner import mirror, run_stage, state_folder


def main() -> None:
    """Looks up missing media and prints counts by status."""
    params = load_params(PARAMS)
    entities = GRAPH / "entities.parquet"
    if params.media.source == "none":
        write_without_look_up(entities, MEDIA)
        print("media: nothing is looked up (media.source: none)")
        return
    known, unknown = read_identifier_map(RAW / ENTITY_IDENTIFIERS)
    if unknown:
        print(f"warning: {unknown} lines of {ENTITY_IDENTIFIERS} name neither item nor article")
    with WebStore(state_folder() / "web") as store:
        summary = look_up_media(
            entities,
            GRAPH / "image_sources.parquet",
            known,
            params.media,
            Client(store, params.fetch, mirror()),
            MEDIA,
        )
    _print(summary)
    if store.warning:
        print(store.warning)


def _print(summary: MediaSummary) -> None:
    """Prints the counts."""
    total = sum(summary.counts.values())
    print(f"media: texts of {summary.descriptions} and images of {summary.images} entities")
    for status, count in summary.counts.items():
        if count:
            print(f"  {status}: {count} of {total}")
    if summary.counts["unreachable"]:
        print("  to try the unreachable again: dvc repro --force --single-item media")


if __name__ == "__main__":
    run_stage(main)
