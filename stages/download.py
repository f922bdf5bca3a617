"""Stage `download`: the source files of the data set, as they came, in `data/raw`."""

from pathlib import Path

from imf_core.config import load_params
from imf_core.data.atlas import write_atlas
from imf_core.data.download import download_dataset
from imf_core.data.folder import copy_folder
from imf_core.data.raw import fresh_folder
from imf_core.data.rdf import write_rdf_as_folder
from imf_core.data.registry import FOLDER, RDF, EmbeddedDataset, find_dataset
from stages.layout import PARAMS, RAW
from stages.runner import mirror, run_stage, state_folder


def main() -> None:
    """Fills `data/raw`."""
    params = load_params(PARAMS)
    dataset = params.dataset
    with fresh_folder(RAW) as raw:
        if dataset.name == FOLDER:
            copied = copy_folder(Path(dataset.path), raw)
            print(
                f"{dataset.path}: copied {', '.join(copied.texts)} and {copied.images} images; "
                f"{copied.urls} images to fetch from URLs"
            )
            if copied.missing_images:
                print(f"warning: {copied.missing_images} images of the index are missing")
            return
        if dataset.name == RDF:
            counts = write_rdf_as_folder(Path(dataset.path), raw)
            print(
                f"{dataset.path}: {counts.facts} facts, {counts.literals} literals, {counts.images} "
                f"images to fetch; left out: {counts.without_iri} statements with blank nodes, "
                f"{counts.images_without_url} images without a web address"
            )
            return
        entry = find_dataset(dataset.name)
        if isinstance(entry, EmbeddedDataset):
            write_atlas(raw)
        else:
            download_dataset(entry, raw, state_folder() / "downloads", params.fetch, mirror())
        print(f"{dataset.name}: {entry.title} (licence: {entry.licence})")


if __name__ == "__main__":
    run_stage(main)
