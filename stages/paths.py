"""Paths of the stages' files, relative to the project's root, as in `dvc.yaml`."""

from pathlib import Path

from imf_core.base.modality import find_modalities

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")

RAW = Path("data/raw")
GRAPH = Path("data/graph")
MEDIA = Path("data/media")
IMAGES = Path("data/images")
FEATURES = {name: Path(f"data/features/{name}.parquet") for name in find_modalities()}
"""By modality."""

DATA_SUMMARY = Path("results/data.json")
DATA_RELATIONS = Path("results/data_relations.csv")
CHOSEN = Path("results/tuning/chosen.json")
TRIALS = Path("results/tuning/trials.csv")
TRAINING = Path("results/training")
MODEL = Path("results/model")
EVALUATION = Path("results/evaluation")
BASELINE = Path("results/baseline")
PREDICTIONS = Path("results/predictions.parquet")
REPORT = Path("results/report.html")

METRICS = "metrics.json"
RANKS = "ranks.parquet"
"""Files in `EVALUATION` and `BASELINE`."""
