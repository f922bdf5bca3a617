"""Marks failed or old web content for refetching. Not a stage.

    python -m stages.forget --failed
    python -m stages.forget --older-than-days 30
    python -m stages.forget --failed --older-than-days 30

`--failed` marks content that was not found, refused, too long or no picture; unreachable content is
requested again in any case. `--older-than-days` marks everything last requested before that time.
This command sends no requests: the stages do in their next run, within the limits of section
`fetch` in params.yaml:

    dvc repro --force --single-item media
    dvc repro --force --single-item images
    dvc repro

No content is lost. Marked content is set aside and restored if the refetch fails: the network or a
host is down, or a page comes instead of a picture. Only a host's answer that a file is gone (404,
410) removes it.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imf_core.base.artifacts import read_parquet
from imf_core.raster.reencode import NO_PICTURE
from imf_core.raster.shards import SOURCES
from imf_core.web.store import WebStore
from imf_core.web.urls import is_url
from stages.paths import IMAGES
from stages.runner import run_stage, state_folder

LONGEST_DAYS = 3_650


def main() -> None:
    """Sets outcomes aside and prints their number."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--failed", action="store_true")
    parser.add_argument("--older-than-days", type=_days, metavar="DAYS")
    chosen = parser.parse_args()
    if not chosen.failed and chosen.older_than_days is None:
        parser.error("choose what to request again: --failed, --older-than-days DAYS or both")
    folder = state_folder() / "web"
    if not folder.is_dir():
        print(f"there were no web requests: {folder} does not exist")
        return
    with WebStore(folder) as store:
        if chosen.failed:
            count = store.set_aside_failed() + store.set_aside(_no_pictures(IMAGES / SOURCES))
            print(f"{count} failed files and answers will be requested again")
        if chosen.older_than_days is not None:
            moment = datetime.now(UTC) - timedelta(days=chosen.older_than_days)
            count = store.set_aside_older_than(moment)
            print(
                f"{count} files and answers last requested {chosen.older_than_days} or more days "
                "ago will be requested again"
            )


def _no_pictures(path: Path) -> list[str]:
    """Lists the URLs with content that was no picture in the last run of `images`."""
    if not path.exists():
        return []
    table = read_parquet(path, ["source", "status"])
    rows = zip(table["source"].to_pylist(), table["status"].to_pylist(), strict=True)
    return sorted({source for source, status in rows if status in NO_PICTURE and is_url(source)})


def _days(text: str) -> int:
    """Parses a number of days."""
    if not (text.isdecimal() and 1 <= int(text) <= LONGEST_DAYS):
        raise argparse.ArgumentTypeError(f"must be from 1 to {LONGEST_DAYS}, got {text}")
    return int(text)


if __name__ == "__main__":
    run_stage(main)
