"""Stage `prepare`: makes the graph with its splits, the image sources and an audit of both."""

from pathlib import Path

from imf_core.base.artifacts import write_csv, write_json
from imf_core.base.params_file import load_params
from imf_core.graph.decided import save_decided
from imf_core.graph.entities import save_image_sources
from imf_core.graph.issues import issues_of, read_issues
from imf_core.graph.labels import save_graph
from imf_core.graph.numbers import save_numbers
from imf_core.prepare.decisions import read_decisions
from imf_core.prepare.prepare import prepare_graph
from imf_core.prepare.summary import Summary, describe
from stages.paths import DATA_RELATIONS, DATA_SUMMARY, GRAPH, PARAMS, RAW
from stages.runner import run_stage


def main() -> None:
    """Turns `data/raw` and the decisions of people into `data/graph`."""
    params = load_params(PARAMS)
    decisions = read_decisions(Path(params.dataset.decisions))
    prepared = prepare_graph(RAW, params.dataset.name, params.prepare, decisions)
    save_graph(prepared.labels, prepared.facts, GRAPH)
    save_decided(prepared.decided, prepared.labels.fingerprint, GRAPH)
    save_image_sources(prepared.images, prepared.labels.fingerprint, GRAPH)
    save_numbers(prepared.numbers, prepared.labels.fingerprint, GRAPH)
    write_json(DATA_SUMMARY, prepared.summary)
    write_csv(DATA_RELATIONS, prepared.relation_rows)
    print_summary(prepared.summary, RAW)
    print(f"the whole audit: {DATA_SUMMARY}, by relation {DATA_RELATIONS}")


def print_summary(summary: Summary, raw: Path) -> None:
    """Prints the counts of a prepared graph and its data issues.

    Args:
        summary: Of the graph.
        raw: Folder with the issues that stage `download` has printed.
    """
    for line in describe(summary):
        print(line)
    reported = read_issues(raw)
    for issue in issues_of(summary["issues"]):
        if issue not in reported:
            print(f"warning: {issue}")


if __name__ == "__main__":
    run_stage(main)
