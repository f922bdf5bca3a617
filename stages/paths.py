"""Paths of the stages' files, relative to the project's root, as in `dvc.yaml`."""

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")

RAW = Path("data/raw")
GRAPH = Path("data/graph")
MEDIA = Path("data/media")
IMAGES = Path("data/images")
IMAGE_FEATURES = Path("data/features/image.parquet")
TEXT_FEATURES = Path("data/features/text.parquet")
FEATURES = {"image": IMAGE_FEATURES, "text": TEXT_FEATURES}
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
