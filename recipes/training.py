"""Trains one model for a row of the table; measures its time and resumes after a kill."""

import time
from pathlib import Path

import torch

from imf_core.artifacts import read_json, write_json
from imf_core.config import SettledParams
from imf_core.data.graph import Graph
from imf_core.features.table import FeatureTable
from imf_core.inference.saved_model import build_model
from imf_core.model.imf import IMF
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.trainer import Progress, Record, Trainer
from recipes.store import ModelRun


class Stopwatch:
    """Counts the seconds of work that may be killed and resumed.

    Args:
        path: File of the seconds so far, beside the state of the work.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = read_json(path) if path.exists() else [0.0, 0.0]
        self._starts = time.process_time(), time.perf_counter()

    def read(self) -> list[float]:
        """Returns processor seconds and wall-clock seconds."""
        now = time.process_time(), time.perf_counter()
        return [
            before + end - start
            for before, end, start in zip(self._before, now, self._starts, strict=True)
        ]

    def save(self) -> None:
        """Saves the seconds so far; call it when the work's state is saved."""
        write_json(self._path, self.read())


def train_model(
    params: SettledParams, graph: Graph, tables: dict[str, FeatureTable], checkpoints: Checkpoints
) -> tuple[IMF, ModelRun]:
    """Trains a model as the stage `train` does and selects it on valid.

    Args:
        params: Parameters of the row; `train.processes` is ignored.
        graph: Train and valid are read.
        tables: Features by modality.
        checkpoints: Training states; the caller clears them.

    Returns:
        The selected model and the record of its training.
    """
    watch = Stopwatch(checkpoints.folder / "seconds.json")
    torch.manual_seed(params.train.seed)
    model = build_model(graph, tables, params.model, params.fusion)
    trainer = Trainer(model, graph, params.train, params.fusion, params.decision, checkpoints)
    progress = trainer.fit(lambda _: watch.save())
    process_seconds, wall_seconds = watch.read()
    return model, ModelRun(
        seed=params.train.seed,
        selected_epoch=progress.best_epoch,
        trained_epochs=progress.epoch,
        process_seconds=process_seconds,
        wall_seconds=wall_seconds,
        curve=_draw_curve(progress),
    )


def _draw_curve(progress: Progress) -> list[Record]:
    """Returns the validations without the decision weights."""
    return [
        {key: value for key, value in record.items() if not key.startswith("weight_")}
        for record in progress.history
    ]
