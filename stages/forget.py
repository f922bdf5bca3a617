"""Has the web asked again for what failed there, or for what is old. Not a stage.

    python -m stages.forget --failed
    python -m stages.forget --older-than-days 30
    python -m stages.forget --failed --older-than-days 30

`--failed` means what was not found, refused or too long, and what came but was no picture; what was
unreachable is asked for again without it. `--older-than-days` means everything that the web was
last asked for before that time. Nothing is asked here: the stages do so when they run next, with
the manners of section `fetch` in params.yaml:

    dvc repro --force --single-item media
    dvc repro --force --single-item images
    dvc repro

Nothing is lost by it. What is known is set aside and holds again where asking brings nothing: the
network is down, a host has a bad day, a page comes in the place of a picture. Only a host's word
that a file is gone (404, 410) takes it away.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imf_core.artifacts import read_parquet
from imf_core.features.shards import SOURCES
from imf_core.media.images import NO_PICTURE
from imf_core.web.store import WebStore
from imf_core.web.urls import is_url
from stages.layout import IMAGES
from stages.runner import run_stage, state_folder

LONGEST_DAYS = 3_650


def main() -> None:
    """Sets outcomes aside and prints how many."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--failed", action="store_true")
    parser.add_argument("--older-than-days", type=_days, metavar="DAYS")
    chosen = parser.parse_args()
    if not chosen.failed and chosen.older_than_days is None:
        parser.error("say what is to be asked for again: --failed, --older-than-days DAYS or both")
    folder = state_folder() / "web"
    if not folder.is_dir():
        print(f"nothing was ever asked of the web: there is no {folder}")
        return
    with WebStore(folder) as store:
        if chosen.failed:
            count = store.set_aside_failed() + store.set_aside(_no_pictures(IMAGES / SOURCES))
            print(f"{count} files and answers that failed are to be asked for again")
        if chosen.older_than_days is not None:
            moment = datetime.now(UTC) - timedelta(days=chosen.older_than_days)
            count = store.set_aside_older_than(moment)
            print(
                f"{count} files and answers last asked for {chosen.older_than_days} or more days "
                "ago are to be asked for again"
            )


def _no_pictures(path: Path) -> list[str]:
    """Lists the URLs at which the last run of `images` found no picture, but something else."""
    if not path.exists():
        return []
    table = read_parquet(path, ["source", "status"])
    rows = zip(table["source"].to_pylist(), table["status"].to_pylist(), strict=True)
    return sorted({source for source, status in rows if status in NO_PICTURE and is_url(source)})


def _days(text: str) -> int:
    """Reads a number of days."""
    if not (text.isdecimal() and 1 <= int(text) <= LONGEST_DAYS):
        raise argparse.ArgumentTypeError(f"must be from 1 to {LONGEST_DAYS}, got {text}")
    return int(text)


if __name__ == "__main__":
    run_stage(main)
