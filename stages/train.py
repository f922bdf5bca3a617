"""Stage `train`: the selected model in `results/model`, its curves in `results/training`.

Kept up to date while it runs, the curves show in `dvc exp show` and in the plots. A killed run
goes on from its last checkpoint when the stage is run again.
"""

from pathlib import Path

import torch
from dvclive.live import Live

import imf_core
from imf_core.config import Params, load_params
from imf_core.device import explain_out_of_memory, resolve_device
from imf_core.inference.saved_model import build_model, save_model
from imf_core.training.checkpoint import Checkpoints, run_key
from imf_core.training.trainer import Record, Trainer
from stages.inputs import load_inputs
from stages.layout import GRAPH, IMAGE_FEATURES, MODEL, PARAMS, TEXT_FEATURES, TRAINING
from stages.runner import run_stage, state_folder


def main() -> None:
    """Trains, selects on valid and saves."""
    params = load_params(PARAMS)
    with explain_out_of_memory(
        "lower train.batch_size, model.dim, model.relation_dim or fusion.rank, or set "
        "train.sampled_candidates (2000, say)"
    ):
        _train(params)


def _train(params: Params) -> None:
    """Trains with `params` on the prepared graph and features."""
    graph, tables = load_inputs()
    torch.manual_seed(params.train.seed)
    model = build_model(graph, tables, params.model, params.fusion)
    checkpoints = Checkpoints(state_folder() / "checkpoints", _key(params))
    if checkpoints.exists():
        print("going on from the last checkpoint of this run")
    trainer = Trainer(model, graph, params.train, params.fusion, params.decision, checkpoints)
    print(f"training on {trainer.device}, {len(trainer.rows)} rows, {params.train.epochs} epochs")
    with Live(str(TRAINING), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(record: Record) -> None:
            live.step = int(record["epoch"])
            for name, value in record.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.make_summary()

        progress = trainer.fit(log)
        # The last word is that of the selected epoch, not of the last one trained.
        selected = next(r for r in progress.history if r["epoch"] == progress.best_epoch)
        live.summary.update({key: value for key, value in selected.items() if key != "epoch"})
        live.step = progress.best_epoch
        live.make_summary()
    training = {
        **params.train.model_dump(),
        "selected_epoch": progress.best_epoch,
        "trained_epochs": progress.epoch,
        "selection_mrr": progress.best_mrr,
    }
    save_model(trainer.model, MODEL, graph, tables, params.model, params.fusion, training)
    checkpoints.clear()
    print(
        f"selected epoch {progress.best_epoch} of {progress.epoch}: MRR {progress.best_mrr:.4f} "
        f"on valid, on {trainer.device}"
    )


def _key(params: Params) -> str:
    """Hashes everything the trained weights depend on, the library's whole code included."""
    root = Path(imf_core.__file__).parent
    code = [*root.rglob("*.py"), Path(__file__)]
    inputs = [GRAPH / "triples.parquet", IMAGE_FEATURES, TEXT_FEATURES, *code]
    sections = params.model_dump(include={"model", "fusion", "decision", "train"})
    device = resolve_device(params.train.device, "train.device")
    return run_key({**sections, "device": device.type}, inputs)


if __name__ == "__main__":
    run_stage(main)
