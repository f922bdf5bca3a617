"""Stage `report`: writes one self-contained HTML page about the run."""

import vl_convert

from imf_core.base.artifacts import write_text
from imf_core.base.device import explain_out_of_memory, resolve_device
from imf_core.base.params_file import load_params
from imf_core.model.saved import load_model
from imf_core.model.scorer import Scorer
from imf_core.report.compose import RunFiles, compose_page
from imf_core.report.page import CHARTS_SCRIPT, Lock, describe_lock, render_page
from stages import paths
from stages.committed import read_committed_metrics, read_locked_stages
from stages.inputs import load_inputs
from stages.paths import MODEL, PARAMS, REPORT
from stages.runner import run_stage

STAGE = "report"


def main() -> None:
    """Writes `results/report.html`."""
    device = resolve_device(load_params(PARAMS).predict.device, "predict.device")
    files = RunFiles(
        graph=paths.GRAPH,
        media=paths.MEDIA,
        images=paths.IMAGES,
        summary=paths.DATA_SUMMARY,
        relations=paths.DATA_RELATIONS,
        trials=paths.TRIALS,
        training=paths.TRAINING,
        model=paths.MODEL,
        evaluation=paths.EVALUATION,
        baseline=paths.BASELINE,
        predictions=paths.PREDICTIONS,
    )
    graph, tables = load_inputs()
    with explain_out_of_memory("on a GPU, set predict.device: cpu"):
        scorer = Scorer(load_model(MODEL, graph, tables).to(device))
        page = compose_page(files, graph, tables, scorer, read_committed_metrics(graph), _lock())
    html = render_page(page, vl_convert.javascript_bundle(CHARTS_SCRIPT))
    write_text(REPORT, html)
    print(f"{REPORT}: {len(html.encode()) / 1e6:.1f} MB, to be opened in any browser")


def _lock() -> Lock | None:
    """Returns `dvc.lock` without this stage, whose entry is from an earlier run."""
    stages = read_locked_stages(paths.LOCK)
    if stages is None:
        return None
    return describe_lock({name: stage for name, stage in stages.items() if name != STAGE})


if __name__ == "__main__":
    run_stage(main)
