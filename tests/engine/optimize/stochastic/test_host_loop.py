"""The processor's loop for Python shadings: it moves as the device's does, learns through steps, and survives NaN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import DeviceError, RecipeError
from engine.kernels.webgpu import gpu
from engine.optimize.stochastic import LoopOptions, LoopView, StochasticLoop
from engine.optimize.stochastic.host_loop import HostLoop
from engine.optimize.stochastic.rendering import LoopShading
from engine.shading.blackbox import PythonShading
from tests.engine.optimize.stochastic.loop_scenes import blotches, bumpy, cameras, globe_scene, texture_of


def normal_color(surface) -> np.ndarray:
    return 0.5 * surface.normal + 0.5


def banded(surface) -> np.ndarray:
    """Flat everywhere, so that every derivative is 0."""
    return np.round(3 * surface.base_color) / 3


def host_loop(function=normal_color, size: int = 64, target=None, start=None, **options) -> HostLoop:
    scene = globe_scene(texture_of(np.full((32, 32, 3), 0.4, np.float32)))
    target = target or replace(scene, vertices=bumpy(scene.vertices))
    chosen = LoopOptions(**({"tone": "linear", "smoothness": 4.0} | options))
    seen_by = cameras(6, size)
    blank = [LoopView(c, np.zeros((*c.size, 3), np.float32), np.zeros(c.size, np.float32)) for c in seen_by]
    drawn = HostLoop(target, blank, chosen, PythonShading("test", function))
    images = [drawn.preview(camera) for camera in seen_by]
    photos = [LoopView(c, image[..., :3], image[..., 3]) for c, image in zip(seen_by, images, strict=True)]
    return HostLoop(start or scene, photos, chosen, PythonShading("test", function))


def psnr(loop: HostLoop) -> float:
    errors = [((loop.preview(view.camera)[..., :3] - view.color) ** 2).mean() for view in loop.views]
    return float(-10 * np.log10(max(np.mean(errors), 1e-9)))


@pytest.mark.parametrize("recursion", [1.0, 0.3])
def test_a_step_is_the_devices(recursion):
    loop = host_loop(smoothness=0.0, loss="mse", recursion=recursion)
    other = StochasticLoop(gpu(), loop.scene, loop.views, loop.options, "normal_color")
    before = loop.vertices()
    for each in (loop, other):
        for view in (2, 2) if recursion < 1 else (2,):
            each.advance("vertices", view)
    here, there = loop.vertices() - before, other.vertices() - before
    cosine = float((here * there).sum() / np.linalg.norm(here) / np.linalg.norm(there))
    assert cosine > 0.98 and abs(np.linalg.norm(here) / np.linalg.norm(there) - 1) < 0.1
    assert loop.loss() == pytest.approx(other.loss(), rel=0.02)


def test_a_shape_is_found_through_a_python_function_and_runs_repeat():
    results = []
    for _ in range(2):
        groups = LoopOptions().groups
        groups |= {"vertices": replace(groups["vertices"], rate=0.2, rate_end=0.05)}
        loop = host_loop(size=48, steps=60, groups=groups)
        before = psnr(loop)
        for index in range(60):
            loop.advance("vertices", index % 6)
        results.append(loop.vertices())
    assert psnr(loop) > before + 1
    assert np.array_equal(*results)


def test_a_recursive_estimate_goes_on_with_the_same_bits():
    loop = host_loop(size=16, recursion=0.3)
    plain = host_loop(size=16)
    for index in range(3):
        loop.advance("vertices", index)
        plain.advance("vertices", index)
    assert not np.array_equal(loop.vertices(), plain.vertices())
    kept = loop.state()
    loop.advance("vertices", 3)
    after = loop.vertices()
    loop.restore(kept)
    loop.advance("vertices", 3)
    assert np.array_equal(loop.vertices(), after)


def test_a_texture_is_found_through_steps_that_have_no_derivative():
    scene = globe_scene(texture_of(blotches(32)))
    start = replace(scene, texture=texture_of(np.full((32, 32, 3), 0.45, np.float32)))
    groups = LoopOptions().groups
    groups |= {"base_color": replace(groups["base_color"], eps=0.2, rate=0.05, rate_end=0.02)}
    loop = host_loop(banded, 48, scene, start, order=("base_color",), steps=120, groups=groups)
    before = psnr(loop)
    for index in range(60):
        loop.advance("base_color", index % 6)
    kept = loop.state()
    assert psnr(loop) > before + 3
    loop.advance("base_color", 0)
    after = loop.texture()
    loop.restore(kept)
    loop.advance("base_color", 0)
    assert np.array_equal(loop.texture(), after)


def test_nan_is_told_stepped_back_from_and_ends_a_run_as_on_the_device():
    def broken(surface) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.sqrt(surface.normal)

    told, other_told = [], []
    loop = host_loop(size=16, check_every=4)
    loop.notify, loop.shading = told.append, PythonShading("test", broken)
    wgsl = "fn shade(surface: Surface) -> vec3f {\n    return sqrt(surface.normal);\n}\n#include surface\n"
    shading = LoopShading(wgsl, "test")
    other = StochasticLoop(gpu(), loop.scene, loop.views, loop.options, shading, notify=other_told.append)
    before = loop.vertices()
    for each, heard in ((loop, told), (other, other_told)):
        for index in range(11):
            each.advance("vertices", index % 6)
        assert len(heard) == 2 and "NaN or infinity" in heard[0] and "back at step 0" in heard[1]
        with pytest.raises(DeviceError, match="3 times in a row: guard divisions"):
            each.advance("vertices", 0)
        assert np.array_equal(each.vertices(), before)
    assert [text.split(" for ")[0] for text in told] == [text.split(" for ")[0] for text in other_told]


def test_a_pixel_that_is_nan_on_one_side_moves_nothing():
    def clear(surface) -> np.ndarray:
        return surface.base_color.copy()

    def broken(surface) -> np.ndarray:  # red above the start is NaN: one side of every pixel's, more or less
        color = surface.base_color.copy()
        return np.where(color[:, :1] > np.float32(0.4), np.float32(np.nan), color)

    scene = globe_scene(texture_of(np.full((32, 32, 3), 0.4, np.float32)))
    dark = replace(scene, texture=texture_of(np.full((32, 32, 3), 0.1, np.float32)))
    loop = host_loop(clear, 32, dark, scene, order=("base_color",))
    before, kept = loop.texture(), loop.state()
    loop.advance("base_color", 0)
    assert loop.texture()[..., 0].mean() < before[..., 0].mean()  # toward the darker photo
    loop.restore(kept)
    loop.shading = PythonShading("broken", broken)
    loop.advance("base_color", 0)
    moved = (loop.texture() - before)[..., 0]
    assert loop.dropped > 0
    assert moved.mean() <= 0  # not toward NaN, which lies on the brighter side


def test_a_shading_is_never_given_colours_outside_their_range():
    seen = []

    def watched(surface) -> np.ndarray:
        seen.append((float(surface.base_color.min()), float(surface.base_color.max())))
        return surface.base_color.copy()

    bounds = globe_scene(texture_of(np.tile(np.float32([0.0, 0.5, 1.0]), (32, 32, 1))))
    loop = host_loop(watched, 16, bounds, bounds, order=("base_color",))
    seen.clear()
    loop.advance("base_color", 0)
    assert len(seen) == 4 and all(low >= 0 and high <= 1 for low, high in seen)


def test_groups_that_only_the_device_knows_are_refused():
    with pytest.raises(RecipeError, match="not 'environment'; write it in WGSL"):
        host_loop(order=("vertices", "environment"))
