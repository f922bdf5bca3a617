"""Stage `download`: the source files of the data set, as they came, in `data/raw`."""

from pathlib import Path

from imf_core.config import FetchParams, load_params
from imf_core.data.atlas import write_atlas
from imf_core.data.download import download_dataset
from imf_core.data.folder import copy_folder
from imf_core.data.issues import write_issues
from imf_core.data.raw import fresh_folder
from imf_core.data.rdf import write_rdf_as_folder
from imf_core.data.registry import (
    FOLDER,
    RDF,
    DownloadedDataset,
    EmbeddedDataset,
    find_dataset,
)
from stages.layout import PARAMS, RAW
from stages.runner import mirror, run_stage, state_folder


def main() -> None:
    """Fills `data/raw`."""
    params = load_params(PARAMS)
    name, path = params.dataset.name, Path(params.dataset.path)
    with fresh_folder(RAW) as raw:
        if name == FOLDER:
            fill_from_folder(path, raw, [Path(each) for each in params.dataset.image_folders])
        elif name == RDF:
            fill_from_rdf(path, raw)
        else:
            entry = find_dataset(name)
            fill_registered(entry, raw, params.fetch)
            print(f"{name}: {entry.title} (licence: {entry.licence})")


def fill_from_folder(path: Path, raw: Path, image_folders: list[Path]) -> None:
    """Copies a user's folder into `raw` and prints what it held."""
    copied = copy_folder(path, raw, image_folders)
    print(
        f"{path}: copied {', '.join(copied.texts)} and {copied.images} images; {copied.urls} "
        "images to fetch from URLs"
    )
    if copied.missing_images:
        print(f"warning: {copied.missing_images} images of the index are missing")
    if copied.empty_lines:
        print(f"warning: {copied.empty_lines} lines of the index name no image")
    if copied.outside_images:
        print(
            f"warning: {copied.outside_images} images of the index lie outside {path} and were not "
            "read; where they are yours, name their folder in dataset.image_folders in params.yaml"
        )


def fill_from_rdf(path: Path, raw: Path) -> None:
    """Turns a user's RDF dump into the files of `raw` and prints what it held."""
    found = write_rdf_as_folder(path, raw)
    print(
        f"{path}: {found.facts} facts, {found.literals} texts, {found.images} images to fetch from "
        "URLs"
    )
    for issue in found.issues:
        print(f"warning: {issue}")
    if found.issues:
        write_issues(raw, found.issues)


def fill_registered(
    dataset: EmbeddedDataset | DownloadedDataset, raw: Path, fetch: FetchParams
) -> None:
    """Puts the source files of a registered set into `raw`."""
    if isinstance(dataset, EmbeddedDataset):
        write_atlas(raw)
    else:
        download_dataset(dataset, raw, state_folder() / "downloads", fetch, mirror())


if __name__ == "__main__":
    run_stage(main)
