"""What is behind splats, as a picture: what is read is what was written, upright in the capture."""

import numpy as np
import pytest
from PIL import Image

from engine.errors import ExchangeError
from engine.exchange import read_backdrop, write_backdrop
from engine.scene import Backdrop
from engine.scene.conventions import gltf_from_capture

UP = np.array([0.0, 0.0, 1.0])


def colors(rows: int = 8) -> np.ndarray:
    return np.random.default_rng(1).random((rows, 2 * rows, 3)).astype(np.float32)


def test_what_is_written_is_read_to_half_a_step(tmp_path):
    backdrop = Backdrop(colors(), gltf_from_capture(UP).T)
    write_backdrop(tmp_path / "a.png", backdrop, UP)
    again = read_backdrop(tmp_path / "a.png", UP)
    assert np.abs(again.colors - backdrop.colors).max() <= 0.51 / 255
    assert np.allclose(again.world_from_environment, backdrop.world_from_environment)


def test_a_map_that_stands_otherwise_is_turned_upright(tmp_path):
    """The half of a z-up world's sky that is above is written on top, whatever the map's own frame."""
    lying = np.zeros((32, 64, 3), np.float32)
    lying[:, 32:] = 1  # right of the centre column: the map's +X, which is the world's up here
    world_from_map = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    write_backdrop(tmp_path / "a.png", Backdrop(lying, world_from_map), UP)
    again = read_backdrop(tmp_path / "a.png", UP).colors
    assert again[:14].min() > 0.9 and again[18:].max() < 0.1


def test_what_is_no_such_picture_is_refused(tmp_path):
    with pytest.raises(ExchangeError, match="a.png"):
        read_backdrop(tmp_path / "a.png", UP)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ExchangeError, match=r"a.png: not a readable picture"):
        read_backdrop(tmp_path / "a.png", UP)
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    with pytest.raises(ExchangeError, match="10 x 10 pixels, but a map of all directions is twice as wide as high"):
        read_backdrop(tmp_path / "a.png", UP)
