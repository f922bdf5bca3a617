"""Exports new facts and embeddings. Not a stage.

    python -m stages.export --facts new.tsv --above 0.8
    python -m stages.export --facts new.nt --above 0.8 --prefix https://example.org/
    python -m stages.export --embeddings embeddings

Facts are the new facts of the last run's predictions. A TSV has their probabilities and names. In
N-Triples every label is an IRI: itself if it is one, else one under the prefix. Embeddings are
Parquet files of entities and of relations, one for each channel.
"""

import argparse
from pathlib import Path

from imf_core.base.artifacts import read_parquet
from imf_core.inference.export import write_embeddings, write_ntriples, write_tsv
from imf_core.inference.fact_table import LEAST_PROBABILITY, select_new
from stages.paths import PREDICTIONS
from stages.runner import run_stage
from stages.wording import load_workspace_completer


def main() -> None:
    """Writes the requested files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facts", type=Path, metavar="FILE", help=".tsv or .nt")
    parser.add_argument(
        "--above", type=_probability, help=f"least probability ({LEAST_PROBABILITY})"
    )
    parser.add_argument(
        "--prefix", metavar="IRI", help="prefix of labels that are not IRIs, for .nt"
    )
    parser.add_argument("--embeddings", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    if chosen.facts is None and chosen.embeddings is None:
        parser.error("nothing to export: give --facts FILE, --embeddings FOLDER or both")
    suffix = chosen.facts.suffix.lower() if chosen.facts else ""
    if chosen.facts is not None and suffix not in {".tsv", ".nt"}:
        parser.error(f"--facts must end in .tsv or .nt, got {chosen.facts}")
    if chosen.facts is None and (chosen.above is not None or chosen.prefix is not None):
        parser.error("--above and --prefix require --facts FILE")
    if chosen.prefix is not None and suffix != ".nt":
        parser.error(f"--prefix requires a file that ends in .nt, got {chosen.facts}")
    if chosen.facts is not None:
        above = LEAST_PROBABILITY if chosen.above is None else chosen.above
        facts = select_new(read_parquet(PREDICTIONS), above)
        if suffix == ".tsv":
            write_tsv(facts, chosen.facts)
        else:
            write_ntriples(facts, chosen.facts, chosen.prefix)
        print(f"{len(facts)} new facts of probability {above} and more in {chosen.facts}")
    if chosen.embeddings is not None:
        paths = write_embeddings(load_workspace_completer(), chosen.embeddings)
        print("\n".join(f"embeddings in {path}" for path in paths))


def _probability(text: str) -> float:
    """Parses a probability."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1], got {text}")
    return value


if __name__ == "__main__":
    run_stage(main)
