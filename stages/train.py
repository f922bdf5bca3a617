"""Stage `train`: trains and selects the model; writes `results/model` and `results/training`.

The curves in `results/training` are updated during the run, for `dvc exp show` and the plots. A
killed run resumes from its last checkpoint. With `train.processes`, the first process writes and
prints for all.
"""

import sys
import time
from functools import partial

from dvclive.live import Live

from imf_core.base.config import Params, TrainingSpec
from imf_core.base.device import Processes, explain_out_of_memory, resolve_device
from imf_core.base.params_file import load_params
from imf_core.model.saved import save_calibration, save_model
from imf_core.paths.pretrained import find_network
from imf_core.training.paths_fit import fit_paths
from imf_core.training.settle import settle_model, settle_train
from imf_core.training.trainer import Progress, Record, Trainer
from stages.inputs import load_inputs
from stages.paths import MODEL, PARAMS, TRAINING
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

SHOWN = ("loss", "valid_mrr")
"""Values in `metrics.json` beside the epoch; the files of the plots hold all values."""


def main() -> None:
    """Trains, selects on valid and saves the model."""
    params = load_params(PARAMS)
    device = resolve_device(params.train.device, "train.device")
    run_in_processes("train", "train", params.train.processes, device, partial(_train, params))


def _train(params: Params, processes: Processes) -> None:
    with explain_out_of_memory(ADVICE):
        graph, tables = load_inputs()
        chosen = read_chosen(params.model, params.train)
        spec = TrainingSpec(
            model=settle_model(params.model, chosen),
            fusion=params.fusion,
            decision=params.decision,
            train=settle_train(params.train, chosen),
        )
        paths = params.paths
        network = None if paths.use == "off" else find_network(paths.weights)  # before hours
        trainer = make_trainer(spec, graph, tables, processes)
        if processes.is_first:
            progress = _fit_with_curves(trainer)
            training = describe_training(spec.train, progress)
            if network is not None:
                with explain_out_of_memory("set paths.use: off"):
                    training["paths"] = fit_paths(trainer, network, paths)
            save_model(trainer.model, MODEL, graph, tables, spec, training)
            save_calibration(trainer.calibrate(), MODEL)
            print(
                f"selected epoch {progress.best_epoch} of {progress.epoch}: "
                f"MRR {progress.best_mrr:.4f} on valid, on {trainer.device}, "
                f"{time.process_time():.0f} s of processor time"
            )
            if progress.is_still_rising:
                print(describe_rise(spec.train.epochs))
        else:
            trainer.fit()
    finish_states(trainer)


def _fit_with_curves(trainer: Trainer) -> Progress:
    """Trains, and logs every validation."""
    print(
        f"training on {trainer.device}, {len(trainer.rows)} rows, at most {trainer.params.epochs} "
        "epochs",
        flush=True,
    )
    with Live(str(TRAINING), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(record: Record) -> None:
            live.step = int(record["epoch"])
            for name, value in record.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.summary = {name: record[name] for name in SHOWN}
            live.make_summary()
            if not sys.stderr.isatty():  # without a progress bar
                print(f"epoch {live.step}: MRR {record['valid_mrr']:.4f} on valid", flush=True)

        progress = trainer.fit(log, partial(print_estimate, trainer.params.epochs))
        # The final summary is of the selected epoch, not of the last one.
        selected = next(r for r in progress.history if r["epoch"] == progress.best_epoch)
        live.summary = {name: selected[name] for name in SHOWN}
        live.step = progress.best_epoch
        live.make_summary()
    return progress


if __name__ == "__main__":
    run_stage(main)
