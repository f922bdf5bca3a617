"""Stage `predict`: predicts the most probable facts that are not in train."""

import pyarrow.compute as pc

from imf_core.base.artifacts import write_parquet
from imf_core.base.bounds import max_predicted_queries
from imf_core.base.device import explain_out_of_memory, resolve_device
from imf_core.base.params_file import load_params
from imf_core.graph.graph import with_decided
from imf_core.inference.fact_table import NEW
from imf_core.inference.predict import predict_facts
from imf_core.model.saved import load_calibration, load_model
from imf_core.model.scorer import Scorer
from stages.inputs import load_inputs
from stages.paths import GRAPH, MODEL, PARAMS, PREDICTIONS
from stages.runner import run_stage


def main() -> None:
    """Writes `results/predictions.parquet`."""
    params = load_params(PARAMS).predict
    graph, tables = load_inputs()
    graph = with_decided(graph, GRAPH)
    device = resolve_device(params.device, "predict.device")
    most = max_predicted_queries(graph.num_entities)
    if most < params.max_queries:
        print(
            f"asks {most:,} questions at most, not predict.max_queries {params.max_queries:,}: the "
            f"graph has {graph.num_entities:,} entities",
            flush=True,
        )
    with explain_out_of_memory("lower predict.max_queries or, on a GPU, set predict.device: cpu"):
        scorer = Scorer(load_model(MODEL, graph, tables).to(device))
        facts = predict_facts(scorer, load_calibration(MODEL), graph, params)
    write_parquet(PREDICTIONS, facts)
    new = pc.sum(pc.equal(facts["known_in"], NEW)).as_py() or 0
    print(f"{len(facts)} facts, {new} of them new, {len(facts) - new} confirmed by valid or test")


if __name__ == "__main__":
    run_stage(main)
