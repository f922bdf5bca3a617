"""Stage `train`: the selected model in `results/model`, its curves in `results/training`.

Kept up to date while it runs, the curves show in `dvc exp show` and in the plots. A killed run
goes on from its last checkpoint when the stage is run again. With `train.processes`, the first of
the processes keeps the curves, prints and saves for all.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from dvclive.live import Live

import imf_core
from imf_core.config import Params, load_params
from imf_core.device import explain_out_of_memory, resolve_device
from imf_core.inference.saved_model import build_model, save_calibration, save_model
from imf_core.processes import Processes
from imf_core.training.checkpoint import Checkpoints, run_key
from imf_core.training.trainer import Progress, Record, Trainer
from stages.inputs import load_inputs
from stages.layout import GRAPH, IMAGE_FEATURES, MODEL, PARAMS, TEXT_FEATURES, TRAINING
from stages.runner import run_stage, state_folder
from stages.workers import run_in_processes

SHOWN = ("loss", "valid_mrr")
"""What stands beside the epoch in `metrics.json`; the plots' files hold the rest as well."""


def main() -> None:
    """Trains, selects on valid and saves."""
    params = load_params(PARAMS)
    device = resolve_device(params.train.device, "train.device")
    run_in_processes("train", params.train.processes, device, partial(_train, params))


def _train(params: Params, processes: Processes) -> None:
    """Trains with `params` on the prepared graph and features."""
    with explain_out_of_memory(
        "lower train.batch_size, model.dim, model.relation_dim or fusion.rank, or set "
        "train.sampled_candidates (2000, say)"
    ):
        graph, tables = load_inputs()
        torch.manual_seed(params.train.seed)
        model = build_model(graph, tables, params.model, params.fusion)
        checkpoints = Checkpoints(state_folder() / "checkpoints", _key(params))
        trainer = Trainer(
            model, graph, params.train, params.fusion, params.decision, checkpoints, processes
        )
        if processes.is_first:
            if checkpoints.exists():
                print("going on from the last checkpoint of this run")
            progress = _fit_with_curves(trainer)
            training = _describe(params, progress)
            save_model(model, MODEL, graph, tables, params.model, params.fusion, training)
            save_calibration(trainer.calibrate(), MODEL)
            print(
                f"selected epoch {progress.best_epoch} of {progress.epoch}: "
                f"MRR {progress.best_mrr:.4f} on valid, on {trainer.device}"
            )
        else:
            trainer.fit()
            checkpoints.release()
    processes.meet()  # by now all others have let the checkpoints go
    if processes.is_first:
        checkpoints.clear()


def _fit_with_curves(trainer: Trainer) -> Progress:
    """Trains, and logs every validation."""
    print(f"training on {trainer.device}, {len(trainer.rows)} rows, {trainer.params.epochs} epochs")
    with Live(str(TRAINING), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(record: Record) -> None:
            live.step = int(record["epoch"])
            for name, value in record.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.summary = {name: record[name] for name in SHOWN}
            live.make_summary()

        progress = trainer.fit(log)
        # The last word is that of the selected epoch, not of the last one trained.
        selected = next(r for r in progress.history if r["epoch"] == progress.best_epoch)
        live.summary = {name: selected[name] for name in SHOWN}
        live.step = progress.best_epoch
        live.make_summary()
    return progress


def _describe(params: Params, progress: Progress) -> dict[str, Any]:
    """Says how the model was trained and selected."""
    return {
        **params.train.model_dump(),
        "selected_epoch": progress.best_epoch,
        "trained_epochs": progress.epoch,
        "selection_mrr": progress.best_mrr,
    }


def _key(params: Params) -> str:
    """Hashes everything the trained weights depend on, the library's whole code included.

    The number of processes is left out, as that of threads is: it changes the order of sums alone,
    and a run that was killed may go on with fewer or more of them.
    """
    root = Path(imf_core.__file__).parent
    code = [*root.rglob("*.py"), Path(__file__)]
    inputs = [GRAPH / "triples.parquet", IMAGE_FEATURES, TEXT_FEATURES, *code]
    sections = params.model_dump(
        include={"model", "fusion", "decision", "train"}, exclude={"train": {"processes"}}
    )
    device = resolve_device(params.train.device, "train.device")
    return run_key({**sections, "device": device.type}, inputs)


if __name__ == "__main__":
    run_stage(main)
