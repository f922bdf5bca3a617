"""Stage `download`: puts the unchanged source files of the data set into `data/raw`."""

from pathlib import Path

from imf_core.base.artifacts import fresh_folder
from imf_core.base.config import FOLDER, OWN_GRAPHS, RDF, DatasetParams, FetchParams
from imf_core.base.params_file import load_params
from imf_core.graph.issues import DataIssue, write_issues
from imf_core.sources.folder import copy_folder
from imf_core.sources.rdf import write_rdf_as_folder
from imf_core.sources.registry import (
    EMBEDDED,
    DownloadedDataset,
    EmbeddedDataset,
    download_dataset,
    find_dataset,
)
from stages.paths import PARAMS, RAW
from stages.runner import mirror, run_stage, state_folder


def main() -> None:
    """Fills `data/raw`."""
    params = load_params(PARAMS)
    with fresh_folder(RAW) as raw:
        fill_raw(params.dataset.name, raw, params.dataset, params.fetch)
    if params.dataset.name not in OWN_GRAPHS:
        entry = find_dataset(params.dataset.name)
        print(f"{params.dataset.name}: {entry.title} (licence: {entry.licence})")


def fill_raw(name: str, raw: Path, own: DatasetParams, fetch: FetchParams) -> None:
    """Fills a raw folder and prints the data issues of the user's own graph.

    Args:
        name: A registered set, `folder` or `rdf`.
        raw: The folder.
        own: Section `dataset`, with the path of the user's graph.
        fetch: Section `fetch`.
    """
    if name == FOLDER:
        image_folders = [Path(each) for each in own.image_folders]
        report_issues(fill_from_folder(Path(own.path), raw, image_folders), raw)
    elif name == RDF:
        report_issues(fill_from_rdf(Path(own.path), raw), raw)
    else:
        fill_registered(find_dataset(name), raw, fetch)


def fill_from_folder(path: Path, raw: Path, image_folders: list[Path]) -> list[DataIssue]:
    """Copies a user's folder into `raw`, prints its contents and returns its issues."""
    copied = copy_folder(path, raw, image_folders)
    print(
        f"{path}: copied {', '.join(copied.texts)} and {copied.images} images; {copied.urls} "
        "images to fetch from URLs"
    )
    return copied.issues


def fill_from_rdf(path: Path, raw: Path) -> list[DataIssue]:
    """Turns a user's RDF dump into the files of `raw`, prints counts and returns its issues."""
    found = write_rdf_as_folder(path, raw)
    print(
        f"{path}: {found.facts} facts, {found.literals} texts, {found.images} images to fetch from "
        "URLs"
    )
    return list(found.issues)


def report_issues(issues: list[DataIssue], raw: Path) -> None:
    """Prints the issues and writes them into `raw`, if there are any."""
    for issue in issues:
        print(f"warning: {issue}")
    if issues:
        write_issues(raw, issues)


def fill_registered(
    dataset: EmbeddedDataset | DownloadedDataset, raw: Path, fetch: FetchParams
) -> None:
    """Fetches the source files of a registered set into `raw`."""
    if isinstance(dataset, EmbeddedDataset):
        copy_folder(EMBEDDED / dataset.folder, raw, [])
    else:
        download_dataset(dataset, raw, state_folder() / "downloads", fetch, mirror())


if __name__ == "__main__":
    run_stage(main)
