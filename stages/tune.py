"""Stage `tune`: chooses a value for every `auto` parameter on valid, by short trials.

The structural channel comes first, since it is cheap and the only one of the baseline; the image
and text channels follow, without structure. No trial has a fused channel, so the choice does not
depend on the fusion. `results/tuning/chosen.json` holds the values and `trials.csv` the trials.
Finished trials are kept in `.imf/tuning`, so a killed stage does not repeat them.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imf_core.base.artifacts import read_json, write_csv, write_json
from imf_core.base.config import ModelParams, TrainParams, TuneParams
from imf_core.base.device import explain_out_of_memory, resolve_device
from imf_core.base.errors import DivergenceError
from imf_core.base.params_file import load_params
from imf_core.base.sections import AUTO
from imf_core.base.terminal import format_minutes
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.model.saved import require_features
from imf_core.training.checkpoint import code_files, run_key
from imf_core.training.settle import find_auto, settle_model, settle_train
from imf_core.tuning.search import (
    LARGEST_DIM,
    Axis,
    Setting,
    choose_by_rule,
    follow_from,
    run_trial,
    search,
    trial_epochs,
)
from stages.inputs import load_inputs
from stages.paths import CHOSEN, PARAMS, TRIALS
from stages.runner import run_stage, state_folder
from stages.training import ADVICE, input_files

VALIDATIONS = 12
"""Approximate number of validations per trial."""

UNWATCHED = ("train.epochs", "train.validate_every", "train.fused_n3")
"""Always chosen, since DVC does not rerun the stage when one of them becomes `auto`."""

SHARE_OF_STRUCTURE = 0.7
"""Share of the trials for the structural channel, if there are other channels."""

LEAST_GAIN = 0.003
CHANCE = 0.2
"""Least gain in MRR on valid of a better value: `LEAST_GAIN`, or on a small valid `CHANCE` over the
root of its number of queries, near the standard error of a difference."""

COSTLY_GAIN = 0.01
"""Least gain of batches of a quarter of the size, which cost more time."""

LEAST_BATCH = 16

HEAD_START = 0.25
"""Share of its epochs after which a trial is compared with the best one."""

LEAST_SHARE = 0.9
"""A trial stops below this share of the best trial's MRR by the same epoch."""


TRIAL_COLUMNS = ("channels", "trial", "setting", "epochs", "valid_mrr", "ended", "is_chosen")
"""Header of `trials.csv`, also without trials."""


@dataclass(frozen=True)
class Phase:
    """Channels that are tried together, and the keys to choose by them.

    Attributes:
        modalities: Modalities of the trials' models.
        axes: Searched keys, in this order.
        max_trials: Largest number of trials.
    """

    modalities: Sequence[str]
    axes: Sequence[Axis]
    max_trials: int

    @property
    def name(self) -> str:
        """The modalities, for the log and `trials.csv`."""
        return " and ".join(self.modalities)


class _StoppedError(Exception):
    """Ends a trial that has fallen behind."""


@dataclass
class Trial:
    """A finished trial.

    Attributes:
        setting: Values of the trial, by `section.key`.
        curve: MRR on valid by epoch.
        ended: `complete`, `stopped` (fell behind the best trial) or `diverged`.
    """

    setting: Setting
    curve: dict[int, float]
    ended: str = "complete"

    @property
    def score(self) -> float:
        """The highest MRR on valid, 0 for a diverged trial."""
        return 0.0 if self.ended == "diverged" else max(self.curve.values(), default=0.0)


def main() -> None:
    """Writes `results/tuning`."""
    params = load_params(PARAMS)
    unwatched = {key.partition(".")[2]: AUTO for key in UNWATCHED}
    wanted = find_auto(params.model, params.train.model_copy(update=unwatched))
    graph, tables = load_inputs()
    chosen = choose_by_rule(graph, tables, params.model, params.train)
    rows: list[dict[str, Any]] = []
    with explain_out_of_memory(ADVICE):
        model = settle_model(params.model, chosen)
        require_features(tables, model)
        num_valid = len(graph.triples["valid"])
        for phase in _phases(model, params.tune, wanted, num_valid):
            model = settle_model(params.model, chosen)
            train = settle_train(params.train, chosen)
            trials = Trials(phase, params.tune, model, train, graph, tables)
            best = trials.run()
            chosen |= best
            rows += trials.rows(best)
    chosen |= follow_from(graph, settle_train(params.train, chosen))
    write_csv(TRIALS, rows, TRIAL_COLUMNS)
    write_json(CHOSEN, {key: chosen[key] for key in wanted})
    how = f"on valid in {len(rows)} trials" if rows else "by rules of thumb"
    seconds = f"{time.process_time():.0f} s of processor time"
    used = [f"{key} {chosen[key]}" for key in find_auto(params.model, params.train)]
    print(f"chosen {how}, {seconds}: {', '.join(used) or 'nothing, params.yaml has all values'}")


def _phases(
    model: ModelParams, tune: TuneParams, wanted: Sequence[str], num_valid: int
) -> list[Phase]:
    """Plans the trials; keys with a value in params.yaml are not searched."""
    least_gain = max(LEAST_GAIN, CHANCE / math.sqrt(2 * max(1, num_valid)))
    structure = [
        # Smaller batches cost more time, so they must gain more.
        Axis(
            "train.batch_size",
            factors=(1 / 4,),
            least_gain=max(COSTLY_GAIN, least_gain),
            least=LEAST_BATCH,
        ),
        Axis("train.n3", factors=(1 / 3, 3.0), least_gain=least_gain),
        Axis("model.head_dropout", values=(0.0, 0.1, 0.3), least_gain=least_gain),
        *(
            [Axis("train.relation_weight", values=(0.5,), least_gain=least_gain)]
            if model.context == "block-diagonal"
            else []
        ),
        Axis("train.n3", factors=(1 / 1.7, 1.7), least_gain=least_gain),
    ]
    features = [
        Axis("train.encoder_n3", factors=(1 / 3, 3.0), least_gain=least_gain),
        Axis("model.dropout", values=(0.3,), least_gain=least_gain),
    ]
    others = [name for name in model.modalities if name != "structure"]
    first = round(SHARE_OF_STRUCTURE * tune.trials) if others else tune.trials
    phases = [Phase(["structure"], structure, first)]
    if others:
        phases.append(Phase(others, features, tune.trials - first))
    return [
        replace(phase, axes=[axis for axis in phase.axes if axis.key in wanted])
        for phase in phases
        if any(axis.key in wanted for axis in phase.axes)
    ]


class Trials:
    """Runs the trials of one phase, reusing finished trials of a killed stage.

    Args:
        phase: Channels and keys.
        tune: Section `tune` of the parameters.
        model: Section `model` with the values chosen so far.
        train: Section `train` with the values chosen so far.
        graph: Train and valid are read.
        tables: Features by modality.
    """

    def __init__(
        self,
        phase: Phase,
        tune: TuneParams,
        model: ModelParams,
        train: TrainParams,
        graph: Graph,
        tables: Mapping[str, FeatureTable],
    ) -> None:
        self._phase, self._graph, self._tables = phase, graph, tables
        self._model = model.model_copy(
            update={"modalities": list(phase.modalities), "dim": min(model.dim, LARGEST_DIM)}
        )
        epochs = trial_epochs(graph)
        self._train = train.model_copy(
            update={
                "seed": tune.seed,
                "epochs": epochs,
                "validate_every": max(1, epochs // VALIDATIONS),
                "patience": "auto",
                "fused_n3": 0.0,
                "processes": 1,
            }
        )
        device = resolve_device(train.device, "train.device").type
        values = {
            "model": self._model.model_dump(),
            "train": self._train.model_dump(),
            "device": device,
        }
        key = run_key(values, [*input_files(phase.modalities), *code_files(), Path(__file__)])
        self._path = state_folder() / "tuning" / f"{key}.json"
        self._kept = [
            Trial(each["setting"], {int(k): v for k, v in each["curve"].items()}, each["ended"])
            for each in (read_json(self._path) if self._path.exists() else [])
        ]
        self._done: list[Trial] = []
        self._seconds: list[float] = []

    def run(self) -> Setting:
        """Searches and returns the best values of the phase's keys."""
        start = {
            axis.key: vars(self._model if axis.key.startswith("model.") else self._train)[
                axis.key.partition(".")[2]
            ]
            for axis in self._phase.axes
        }
        return search(start, self._phase.axes, self._try, self._phase.max_trials)

    def rows(self, best: Setting) -> list[dict[str, Any]]:
        """Returns one row of `trials.csv` per trial."""
        return [
            {
                "channels": self._phase.name,
                "trial": number,
                "setting": ", ".join(f"{key} {value}" for key, value in trial.setting.items()),
                "epochs": max(trial.curve, default=0),
                "valid_mrr": trial.score,
                "ended": trial.ended,
                "is_chosen": "yes" if trial.setting == best else "",
            }
            for number, trial in enumerate(self._done, start=1)
        ]

    def _try(self, setting: Setting) -> float:
        """Runs a trial, or reuses it from a killed stage, and returns its score."""
        position = len(self._done)
        start = time.perf_counter()
        if [trial.setting for trial in self._kept[position : position + 1]] == [setting]:
            trial = self._kept[position]
        else:
            self._kept.clear()  # the remaining ones were compared with other trials
            trial = self._train_briefly(setting)
            write_json(self._path, [asdict(each) for each in (*self._done, trial)])
        self._done.append(trial)
        seconds = time.perf_counter() - start
        self._seconds.append(seconds)
        words = ", ".join(f"{key.partition('.')[2]} {value}" for key, value in setting.items())
        print(
            f"{self._phase.name}, trial {position + 1} of {self._phase.max_trials}: {words}: "
            f"MRR {trial.score:.4f} on valid ({trial.ended}, {seconds:.0f} s){self._estimate()}",
            flush=True,
        )
        return trial.score

    def _estimate(self) -> str:
        """Formats the longest time of the further trials of the phase, "" after the last one."""
        further = self._phase.max_trials - len(self._done)
        each = sum(self._seconds) / len(self._seconds)
        return f"; at most {further} more, about {format_minutes(further * each)}" * (further > 0)

    def _train_briefly(self, setting: Setting) -> Trial:
        """Runs a trial until its end, or until it falls behind the best trial."""
        sections: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
        for dotted, value in setting.items():
            section, _, key = dotted.partition(".")
            sections[section][key] = value
        trial = Trial(dict(setting), {})

        def report(epoch: int, mrr: float) -> None:
            trial.curve[epoch] = mrr
            if self._is_behind(trial, epoch):
                raise _StoppedError

        try:
            run_trial(
                self._graph,
                {
                    name: self._tables[name]
                    for name in self._phase.modalities
                    if name in self._tables
                },
                self._model.model_copy(update=sections["model"]),
                self._train.model_copy(update=sections["train"]),
                report,
            )
        except _StoppedError:
            trial.ended = "stopped"
        except DivergenceError:
            trial.ended = "diverged"
        return trial

    def _is_behind(self, trial: Trial, epoch: int) -> bool:
        """Returns whether a trial is far below the best trial at the same epoch."""
        if not self._done or epoch <= self._train.epochs * HEAD_START:
            return False
        best = max(self._done, key=lambda each: each.score)
        by_then = max((mrr for other, mrr in best.curve.items() if other <= epoch), default=0.0)
        return trial.score < LEAST_SHARE * by_then


if __name__ == "__main__":
    run_stage(main)
