"""The imports of stages, whose time every run pays."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stage", ["download", "prepare", "media", "images"])
def test_a_stage_without_tensors_does_not_wait_for_torch(stage: str) -> None:
    code = f"import sys, stages.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_stage_does_not_wait_for_libraries_of_other_work() -> None:
    code = (
        "import sys, stages.features, stages.tune, stages.train\n"
        "import stages.baseline, stages.evaluate, stages.predict\n"
        "sys.exit(bool({'transformers', 'sklearn', 'scipy.stats', 'ray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_an_interrupt_while_a_stage_is_imported_is_one_line() -> None:
    code = "import os, signal, sys; sys.argv[0] = '-m'; import stages\n"
    code += "os.kill(os.getpid(), signal.SIGINT)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (
        130,
        "interrupted; finished stages and checkpoints are kept\n",
    )
