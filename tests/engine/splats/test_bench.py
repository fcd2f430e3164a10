"""The benchmark's scene: as many splats in each pixel as in a real one, whatever their number and the image's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.scene import Gaussians
from engine.splats import splatter
from engine.splats.bench import bench_camera, blended_per_pixel, figures, milliseconds, wavy_sheets
from engine.splats.constants import STOP
from engine.splats.parameters import SplatTensors


@pytest.mark.parametrize(("count", "width", "height"), [(2000, 480, 270), (8000, 270, 480), (8000, 960, 540)])
def test_a_pixel_blends_20_to_60_splats(count, width, height):
    splats, view = SplatTensors.of(wavy_sheets(count, width, height)), bench_camera(width, height)
    assert 20 < blended_per_pixel(splats, view) < 60


def test_blended_splats_are_counted_in_front_of_the_camera_until_the_pixel_is_full():
    """Sheets that fill the view: as many as it takes to stop all light, of those before the camera."""
    opacity, depths = 0.8, np.array([-3.0, *np.linspace(2, 3, 10)])
    count = len(depths)
    splats = Gaussians(
        means=np.stack([0 * depths, 0 * depths, depths], 1).astype(np.float32),
        rotations=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        log_scales=np.full((count, 3), 6.0, np.float32),
        logits=np.full(count, np.log(opacity / (1 - opacity)), np.float32),
        harmonics=np.zeros((count, 1, 3), np.float32),
    )
    view = bench_camera(32, 24)
    expected = int(np.log(STOP) / np.log(1 - opacity))
    assert blended_per_pixel(SplatTensors.of(splats), view) == expected == 5
    alpha = splatter("numba").render(SplatTensors.of(splats), view).alpha
    torch.testing.assert_close(alpha, torch.full_like(alpha, 1 - (1 - opacity) ** expected), rtol=1e-3, atol=0)


def test_times_are_of_at_least_so_many_runs_and_one_to_warm_up():
    runs = []
    times = milliseconds(lambda: runs.append(0), seconds=0.0, least=5)
    assert len(times) == 5 and len(runs) == 6
    told = figures("x", np.array([3.0, 1.0, 2.0]), 7.0)
    assert told == {
        "x_min": {"value": 1.0, "unit": "ms", "limit": 7.0},
        "x_median": {"value": 2.0, "unit": "ms", "limit": None},
    }
