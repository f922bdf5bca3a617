"""Stage `evaluate`: filtered ranks of valid and test and the metrics made from them.

Test is scored here, once, with the model that valid selected.
"""

import pyarrow as pa

from imf_core.artifacts import write_csv, write_json, write_parquet
from imf_core.config import load_params
from imf_core.data.known_tails import known_tails_in
from imf_core.device import explain_out_of_memory, resolve_device
from imf_core.evaluation.ranking import rank_triples
from imf_core.evaluation.report import (
    by_degree,
    by_media,
    by_relation,
    overall_metrics,
    rank_rows,
)
from imf_core.inference.saved_model import load_model
from imf_core.model.scorer import Scorer
from stages.inputs import load_inputs
from stages.layout import EVALUATION, MODEL, PARAMS
from stages.runner import run_stage


def main() -> None:
    """Fills `results/evaluation`."""
    params = load_params(PARAMS).evaluate
    graph, tables = load_inputs()
    device = resolve_device(params.device, "evaluate.device")
    known = known_tails_in(graph)
    metrics, ranks = {}, []
    with explain_out_of_memory("lower evaluate.batch_size or, on a GPU, set evaluate.device: cpu"):
        scorer = Scorer(load_model(MODEL, graph, tables).to(device))
        for split in ("valid", "test"):
            table = rank_triples(
                scorer, graph.triples[split], known, graph.num_relations, params.batch_size, split
            )
            metrics[split] = overall_metrics(table)
            ranks.append(rank_rows(table, graph, split))
    is_present = {name: each.is_present.numpy() for name, each in tables.items()}
    write_csv(EVALUATION / "by_relation.csv", by_relation(table, graph))
    write_csv(EVALUATION / "by_degree.csv", by_degree(table, graph))
    write_csv(EVALUATION / "by_media.csv", by_media(table, is_present))
    write_parquet(EVALUATION / "ranks.parquet", pa.concat_tables(ranks))
    write_json(EVALUATION / "metrics.json", metrics)
    print(f"test MRR {metrics['test']['mrr']:.4f} over {len(graph.triples['test'])} facts")


if __name__ == "__main__":
    run_stage(main)
