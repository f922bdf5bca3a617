"""Stage `prepare`: makes the graph with its splits, the image sources and an audit of both."""

from imf_core.base.artifacts import write_csv, write_json
from imf_core.base.config import load_params
from imf_core.graph.entities import save_image_sources
from imf_core.graph.graph import save_graph
from imf_core.graph.issues import issues_of, read_issues
from imf_core.prepare.prepare import prepare_graph
from imf_core.prepare.summary import describe
from stages.paths import DATA_RELATIONS, DATA_SUMMARY, GRAPH, PARAMS, RAW
from stages.runner import run_stage


def main() -> None:
    """Turns `data/raw` into `data/graph`."""
    params = load_params(PARAMS)
    prepared = prepare_graph(RAW, params.dataset.name, params.prepare)
    save_graph(prepared.graph, GRAPH)
    save_image_sources(prepared.images, prepared.graph.fingerprint, GRAPH)
    write_json(DATA_SUMMARY, prepared.summary)
    write_csv(DATA_RELATIONS, prepared.relation_rows)
    for line in describe(prepared.summary):
        print(line)
    reported = read_issues(RAW)
    for issue in issues_of(prepared.summary["issues"]):
        if issue not in reported:  # stage `download` has printed its issues
            print(f"warning: {issue}")


if __name__ == "__main__":
    run_stage(main)
