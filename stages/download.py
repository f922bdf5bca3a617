"""Stage `download`: the source files of the data set, as they came, in `data/raw`."""

from pathlib import Path

from imf_core.config import load_params
from imf_core.data.atlas import write_atlas
from imf_core.data.download import download_dataset
from imf_core.data.folder import copy_folder
from imf_core.data.raw import fresh_folder
from imf_core.data.registry import FOLDER, DownloadedDataset, EmbeddedDataset, find_dataset
from stages.layout import PARAMS, RAW
from stages.runner import mirror, run_stage, state_folder


def main() -> None:
    """Fills `data/raw`."""
    params = load_params(PARAMS).dataset
    with fresh_folder(RAW) as raw:
        if params.name == FOLDER:
            copied = copy_folder(Path(params.path), raw)
            print(
                f"{params.path}: copied {', '.join(copied.texts)} and {copied.images} images; "
                f"{copied.urls} images to fetch from URLs"
            )
            if copied.missing_images:
                print(f"warning: {copied.missing_images} images of the index are missing")
            return
        dataset = find_dataset(params.name)
        fill_registered(dataset, raw)
        print(f"{params.name}: {dataset.title} (licence: {dataset.licence})")


def fill_registered(dataset: EmbeddedDataset | DownloadedDataset, raw: Path) -> None:
    """Puts the source files of a registered set into `raw`."""
    if isinstance(dataset, EmbeddedDataset):
        write_atlas(raw)
    else:
        download_dataset(dataset, raw, state_folder() / "downloads", mirror())


if __name__ == "__main__":
    run_stage(main)
