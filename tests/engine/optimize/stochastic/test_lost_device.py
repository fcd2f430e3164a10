"""A device lost while a loop starts is replaced; one lost again and again is told with a way out that helps."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import OnlyDeviceLost
from engine.kernels.webgpu import Gpu, gpu
from engine.optimize.stochastic import LoopOptions, StochasticLoop
from engine.shading.blackbox import open_shading
from engine.shading.points import SurfacePoints
from engine.shading.webgpu import shade_points
from tests.engine.optimize.stochastic.loop_scenes import cameras, pictures, sphere_scene


@pytest.fixture(scope="module")
def views():
    return pictures(gpu(), sphere_scene(1), cameras(2, 32), "normal_color")


def losing(monkeypatch, which) -> list[int]:
    """From now on the submissions whose number, from 0, is in `which` lose their device; returns their count."""
    submit, count = Gpu.submit, [0]

    def failing(self, encoder):
        count[0] += 1
        if count[0] - 1 in which:
            raise self.lose("the test took it away")
        return submit(self, encoder)

    monkeypatch.setattr(Gpu, "submit", failing)
    return count


@pytest.mark.parametrize("at", [0, 2])
def test_a_device_lost_while_the_loop_starts_is_replaced(views, monkeypatch, at):
    heard: list[str] = []
    expected = StochasticLoop(gpu(), sphere_scene(1), views, LoopOptions(seed=1), "normal_color")
    expected.step(3)
    first = gpu()
    count = losing(monkeypatch, {at})
    loop = StochasticLoop(first, sphere_scene(1), views, LoopOptions(seed=1), "normal_color", notify=heard.append)
    assert first.lost and loop.gpu is gpu() and count[0] > at + 1
    loop.step(3)
    np.testing.assert_array_equal(loop.vertices(), expected.vertices())
    assert len(heard) == 1 and heard[0].endswith("size of images or textures; starting on a new device")


def test_a_device_lost_again_and_again_names_a_way_out_that_helps(views, monkeypatch):
    for way in (", or do otherwise", None):
        told = {} if way is None else {"way": way}
        loop = StochasticLoop(gpu(), sphere_scene(1), views, LoopOptions(), "normal_color", **told)
        with monkeypatch.context() as patch:
            losing(patch, range(1000))
            with pytest.raises(OnlyDeviceLost, match=f"took it away; .*{way or 'UNRENDER_GPU'}") as later:
                loop.step(1)
            with pytest.raises(OnlyDeviceLost, match=way or "UNRENDER_GPU") as earlier:
                StochasticLoop(gpu(), sphere_scene(1), views, LoopOptions(), "normal_color", **told)
        assert "--device cpu" not in f"{later.value} {earlier.value}"


def row(count: int = 300) -> SurfacePoints:
    random = np.random.default_rng(0)
    normal = random.normal(size=(count, 3)).astype(np.float32)
    one = np.full(count, 0.5, np.float32)
    return SurfacePoints(normal, normal, random.random((count, 3), np.float32), one, one)


def test_a_shading_of_points_outlives_a_lost_device(tmp_path, monkeypatch):
    file = tmp_path / "mine.wgsl"
    file.write_text("fn shade(surface: Surface) -> vec3f { return 2.0 * surface.base_color; }\n")
    for shading, helps in (
        (open_shading("flat_color"), ""),
        (open_shading("", file), "no loop in .*mine.wgsl is with"),
    ):
        expected = shading.shade(row())
        with monkeypatch.context() as patch:
            losing(patch, {0})
            np.testing.assert_array_equal(shading.shade(row()), expected)
        with monkeypatch.context() as patch:
            losing(patch, range(1000))
            with pytest.raises(OnlyDeviceLost, match=f"{helps}.*UNRENDER_GPU.*Python file") as error:
                shading.shade(row())
        assert "--device cpu" not in str(error.value)


def test_points_that_no_binding_holds_are_shaded_in_parts():
    narrow = Gpu()
    expected = shade_points(narrow, row(), shading="flat_color")
    narrow.limits["max-storage-buffer-binding-size"] = 80 * 70 + 8
    np.testing.assert_array_equal(shade_points(narrow, row(), shading="flat_color"), expected)
    np.testing.assert_allclose(expected, row().base_color, atol=1e-6)
