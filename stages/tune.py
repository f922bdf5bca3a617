"""Stage `tune`: a value for every parameter that is `auto`, chosen on valid by short trials.

The structural channel comes first, since it is cheap and the baseline has no other; the channels of
image and text follow, without structure. No trial has a fused channel, so that another fusion
leaves the choice as it is. `results/tuning/chosen.json` holds the values and `trials.csv` the
trials. A killed stage repeats no finished trial.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from imf_core.artifacts import read_json, write_csv, write_json
from imf_core.config import (
    AUTO,
    Modality,
    ModelParams,
    TrainParams,
    TuneParams,
    load_params,
)
from imf_core.data.graph import Graph
from imf_core.device import explain_out_of_memory
from imf_core.errors import DivergenceError
from imf_core.features.table import FeatureTable
from imf_core.training.checkpoint import code_files, run_key
from imf_core.tuning.rules import choose_by_rule, follow_from
from imf_core.tuning.search import Axis, Setting, search
from imf_core.tuning.settle import find_auto, settle_model, settle_train
from imf_core.tuning.trial import LARGEST_DIM, run_trial, trial_epochs
from stages.fitting import ADVICE, input_files
from stages.inputs import load_inputs
from stages.layout import CHOSEN, PARAMS, TRIALS
from stages.runner import run_stage, state_folder

VALIDATIONS = 12
"""Of a trial, about."""

UNWATCHED = ("train.epochs", "train.validate_every", "train.fused_n3")
"""Always chosen: DVC does not rerun the stage where one of them becomes `auto`."""

SHARE_OF_STRUCTURE = 0.7
"""Of the trials, where other channels follow."""


@dataclass(frozen=True)
class Phase:
    """Channels that are tried together, and the keys that they decide.

    Attributes:
        modalities: Those of the trials' models.
        axes: What is searched, in this order.
        max_trials: Trials at most.
    """

    modalities: Sequence[Modality]
    axes: Sequence[Axis]
    max_trials: int

    @property
    def name(self) -> str:
        """The channels' modalities in words."""
        return " and ".join(self.modalities)


_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
}


@dataclass
class Trial:
    """A finished trial.

    Attributes:
        setting: The values tried, by `section.key`.
        curve: MRR on valid by epoch.
        ended: `complete`, `pruned` where its MRR was below the median of the others, or `diverged`.
    """

    setting: Setting
    curve: dict[int, float]
    ended: str = "complete"

    @property
    def score(self) -> float:
        """The highest MRR on valid, 0 where the weights diverged."""
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
        for phase in _phases(settle_model(params.model, chosen), params.tune, wanted):
            model = settle_model(params.model, chosen)
            train = settle_train(params.train, chosen)
            trials = Trials(phase, params.tune, model, train, graph, tables)
            best = trials.run()
            chosen |= best
            rows += trials.rows(best)
    chosen |= follow_from(graph, settle_train(params.train, chosen))
    write_csv(TRIALS, rows)
    write_json(CHOSEN, {key: chosen[key] for key in wanted})
    how = f"on valid in {len(rows)} trials" if rows else "by rules of thumb"
    seconds = f"{time.process_time():.0f} s of processor time"
    used = [f"{key} {chosen[key]}" for key in find_auto(params.model, params.train)]
    print(f"chosen {how}, {seconds}: {', '.join(used) or 'nothing, params.yaml gives all values'}")


def _phases(model: ModelParams, tune: TuneParams, wanted: Sequence[str]) -> list[Phase]:
    """Plans the trials; keys with a value given by hand are not searched."""
    structure = [
        # Smaller steps cost more time, and have to earn it.
        Axis("train.batch_size", factors=(1 / 4,), least_gain=0.005),
        Axis("train.n3", factors=(1 / 3, 3.0)),
        Axis("model.head_dropout", values=(0.0, 0.1, 0.3)),
        *(
            [Axis("train.relation_weight", values=(0.5,))]
            if model.context == "block-diagonal"
            else []
        ),
        Axis("train.n3", factors=(1 / 1.7, 1.7)),
    ]
    features = [
        Axis("train.encoder_n3", factors=(1 / 3, 3.0)),
        Axis("model.dropout", values=(0.3,)),
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
    """The trials of one phase, finished ones of a killed stage among them.

    Args:
        phase: What is tried.
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
        # Deterministic: what a trial is compared with are the trials before it.
        pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=epochs // 4)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize", pruner=pruner)
        values = {"model": self._model.model_dump(), "train": self._train.model_dump()}
        key = run_key(values, [*input_files(phase.modalities), *code_files(), Path(__file__)])
        self._path = state_folder() / "tuning" / f"{key}.json"
        self._kept = [
            Trial(each["setting"], {int(k): v for k, v in each["curve"].items()}, each["ended"])
            for each in (read_json(self._path) if self._path.exists() else [])
        ]
        self._done: list[Trial] = []

    def run(self) -> Setting:
        """Returns the best values of the phase's keys."""
        start = {
            axis.key: vars(self._model if axis.key.startswith("model.") else self._train)[
                axis.key.partition(".")[2]
            ]
            for axis in self._phase.axes
        }
        return search(start, self._phase.axes, self._try, self._phase.max_trials)

    def rows(self, best: Setting) -> list[dict[str, Any]]:
        """Returns a row of `trials.csv` for each trial."""
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
        """Runs a trial, or takes it from the state of a killed stage."""
        position = len(self._done)
        start = time.perf_counter()
        if [trial.setting for trial in self._kept[position : position + 1]] == [setting]:
            trial = self._kept[position]
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=_STATES[trial.ended],
                    value=trial.score if trial.ended == "complete" else None,
                    intermediate_values=trial.curve,
                )
            )
        else:
            self._kept.clear()  # those that follow were pruned beside others
            trial = self._train_briefly(setting)
            write_json(self._path, [asdict(each) for each in (*self._done, trial)])
        self._done.append(trial)
        words = ", ".join(f"{key.partition('.')[2]} {value}" for key, value in setting.items())
        print(
            f"{self._phase.name}, trial {position + 1} of {self._phase.max_trials}: {words}: "
            f"MRR {trial.score:.4f} on valid ({trial.ended}, {time.perf_counter() - start:.0f} s)",
            flush=True,
        )
        return trial.score

    def _train_briefly(self, setting: Setting) -> Trial:
        """Runs a trial until its end, or until the median of the others is above it."""
        sections: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
        for dotted, value in setting.items():
            section, _, key = dotted.partition(".")
            sections[section][key] = value
        trial = Trial(dict(setting), {})
        asked = self._study.ask()

        def report(epoch: int, mrr: float) -> None:
            trial.curve[epoch] = mrr
            asked.report(mrr, epoch)
            if asked.should_prune():
                raise optuna.TrialPruned

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
        except optuna.TrialPruned:
            trial.ended = "pruned"
        except DivergenceError:
            trial.ended = "diverged"
        value = trial.score if trial.ended == "complete" else None
        self._study.tell(asked, value, state=_STATES[trial.ended])
        return trial


if __name__ == "__main__":
    run_stage(main)
