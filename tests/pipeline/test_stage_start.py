"""The imports of stages, whose time every run pays."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stage", ["download", "media", "images"])
def test_a_stage_without_tensors_does_not_wait_for_torch(stage: str) -> None:
    code = f"import sys, stages.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
