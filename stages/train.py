"""Stage `train`: the selected model in `results/model`, its curves in `results/training`.

Kept up to date while it runs, the curves show in `dvc exp show` and in the plots. A killed run
goes on from its last checkpoint when the stage is run again.
"""

from pathlib import Path

import torch
from dvclive.live import Live

import imf_core
from imf_core.config import Params, load_params
from imf_core.inference.saved_model import build_model, save_model
from imf_core.training.checkpoint import Checkpoints, run_key
from imf_core.training.trainer import Record, Trainer
from stages.inputs import load_inputs
from stages.layout import GRAPH, IMAGE_FEATURES, MODEL, PARAMS, TEXT_FEATURES, TRAINING
from stages.runner import run_stage, state_folder

CODE = ("config.py", "data/known_tails.py", "model", "training", "evaluation")
"""Below `imf_core`: what a checkpoint depends on beside parameters and inputs."""


def main() -> None:
    """Trains, selects on valid and saves."""
    params = load_params(PARAMS)
    graph, tables = load_inputs()
    torch.manual_seed(params.train.seed)
    model = build_model(graph, tables, params.model, params.fusion)
    checkpoints = Checkpoints(state_folder() / "checkpoints", _key(params))
    trainer = Trainer(model, graph, params.train, params.fusion, params.decision, checkpoints)
    with Live(str(TRAINING), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(record: Record) -> None:
            live.step = int(record["epoch"])
            for name, value in record.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.make_summary()

        progress = trainer.fit(log)
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
        f"on the selection half of valid, on {trainer.device}"
    )


def _key(params: Params) -> str:
    """Hashes everything the trained weights depend on."""
    root = Path(imf_core.__file__).parent
    code = [
        path
        for part in CODE
        for path in ([root / part] if part.endswith(".py") else (root / part).glob("*.py"))
    ]
    sections = params.model_dump(include={"model", "fusion", "decision", "train"})
    return run_key(
        sections, [*sorted(GRAPH.glob("*.parquet")), IMAGE_FEATURES, TEXT_FEATURES, *code]
    )


if __name__ == "__main__":
    run_stage(main)
