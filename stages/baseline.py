"""Stage `baseline`: trains and ranks the model without image and text, with the same parameters.

The gain from images and texts is the difference to this model, trained and selected in the same
way. The stage reads only the graph and the parameters of such a model, so another fusion, encoder
or text does not rerun it. If `model.modalities` is `[structure]`, the model is its own baseline:
nothing is trained, and the files are empty.
"""

import time
from functools import partial

import pyarrow as pa

from imf_core.base.artifacts import write_json, write_parquet
from imf_core.base.config import DecisionParams, ModelParams, TrainingSpec, TrainParams
from imf_core.base.device import Processes, explain_out_of_memory, resolve_device
from imf_core.base.params_file import load_params
from imf_core.graph.graph import load_graph
from imf_core.model.scorer import Scorer
from imf_core.training.settle import settle_model, settle_train
from imf_core.tuning.search import NO_FUSION
from stages.evaluate import measure_held_out, rank_held_out, write_ranks
from stages.paths import BASELINE, GRAPH, METRICS, PARAMS, RANKS
from stages.runner import run_stage
from stages.torchrun import run_in_processes
from stages.training import (
    ADVICE,
    describe_rise,
    describe_training,
    finish_states,
    make_trainer,
    print_estimate,
    read_chosen,
)

# Without effect: a single channel has no weights.
_NO_DECISION = DecisionParams(weights="equal", shrinkage=0.0)


def main() -> None:
    """Writes `results/baseline`."""
    params = load_params(PARAMS)
    chosen = read_chosen(params.model, params.train)
    settled = settle_model(params.model, chosen)
    if settled.modalities == ["structure"]:
        write_parquet(BASELINE / RANKS, pa.table({}))
        write_json(BASELINE / METRICS, {})
        print("the model has structure alone and is its own baseline: nothing to train")
        return
    device = resolve_device(params.train.device, "train.device")
    model = keep_structure(settled)
    train = keep_structural_penalty(settle_train(params.train, chosen))
    work = partial(_train_and_rank, model, train, params.evaluate.batch_size)
    run_in_processes("baseline", "train", train.processes, device, work)


def keep_structure(model: ModelParams) -> ModelParams:
    """Returns the section `model` of the baseline; parameters of the encoders have fixed values.

    Args:
        model: Section of the full model.
    """
    of_no_encoder = {
        "modalities": ["structure"],
        "encoder_dim": None,
        "hidden_dim": 1,
        "mask_missing": True,
        "dropout": 0.0,
    }
    return model.model_copy(update=of_no_encoder)


def keep_structural_penalty(train: TrainParams) -> TrainParams:
    """Returns the section `train` of the baseline, without penalties of other channels.

    Args:
        train: Section of the full model.
    """
    return train.model_copy(update={"encoder_n3": 0.0, "fused_n3": 0.0})


def _train_and_rank(
    model: ModelParams, train: TrainParams, batch_size: int, processes: Processes
) -> None:
    """Trains in all processes; the first one, which has the selected model, ranks."""
    with explain_out_of_memory(ADVICE):
        graph = load_graph(GRAPH)
        spec = TrainingSpec(model=model, fusion=NO_FUSION, decision=_NO_DECISION, train=train)
        trainer = make_trainer(spec, graph, {}, processes)
        estimate = partial(print_estimate, train.epochs) if processes.is_first else lambda _: None
        progress = trainer.fit(on_first_epoch=estimate)
        if processes.is_first:
            ranked = rank_held_out(Scorer(trainer.model), graph, batch_size)
            metrics = measure_held_out(ranked)
            metrics["training"] = describe_training(train, progress)
            write_ranks(ranked, graph, BASELINE)
            write_json(BASELINE / METRICS, metrics)
            print(
                f"structure alone: epoch {progress.best_epoch} of {progress.epoch}, "
                f"test MRR {metrics['test']['mrr']:.4f}, "
                f"{time.process_time():.0f} s of processor time"
            )
            if progress.is_still_rising:
                print(describe_rise(train.epochs))
    finish_states(trainer)


if __name__ == "__main__":
    run_stage(main)
