"""Memory of training on a large graph: a few tables of its entities, for any scoring."""

import subprocess
import sys

import pytest
from tiny_world import ROOT, small_params

MODEL = {"model.dim": 128, "train.batch_size": 1024, "train.sampled_candidates": 2000}
FEATURE_DIM, NUM_HEADS = 64, 4
FIXED_BYTES = 3 << 28
"""Scores (`MAX_SCORES` and a few copies), the facts, and the noise of the measurement."""

PROGRAM = f"""
import sys
from benchmarks.graphs import make_graph, make_tables
from benchmarks.case import peak_bytes, reset_peak
from benchmarks.accuracy import read_params
from imf_core.model.saved import build_model
from imf_core.training.trainer import Trainer

params = read_params({{**{MODEL!r}, "train.epochs": 1}})
size = int(sys.argv[1])
graph = make_graph(size, 50, 4_000, 20)
tables = make_tables(size, {{"image": ({FEATURE_DIM}, 0.9), "text": ({FEATURE_DIM}, 1.0)}})
reset_peak()
before = peak_bytes()
model = build_model(graph, tables, params.model, params.fusion)
Trainer(model, graph, params).fit()
print(peak_bytes() - before)
"""


def bound_bytes(num_entities: int) -> int:
    """The memory of training by `docs/scaling.md`, beyond graph and features."""
    dim = small_params(MODEL).model.dim
    features = 2 * FEATURE_DIM  # normalised, of both modalities
    tables = (1 + 2 * 0.1) * dim  # structure, and vectors of entities without image or text
    states = 4 * tables  # weights, Adagrad's sums, the average, the selected weights
    ids_and_masks = 64
    each = features + states + NUM_HEADS * dim + ids_and_masks
    return int(4 * num_entities * each) + FIXED_BYTES


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in other units elsewhere")
@pytest.mark.parametrize(
    "num_entities", [200_000, pytest.param(1_000_000, marks=pytest.mark.full_size)]
)
def test_training_holds_a_few_tables_of_all_entities_and_no_more(num_entities: int) -> None:
    command = [sys.executable, "-c", PROGRAM, str(num_entities)]
    printed = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert int(printed.stdout.split()[-1]) <= bound_bytes(num_entities)
