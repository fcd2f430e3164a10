"""Small limits of a device: textures in parts give the same bits, and what cannot fit is told in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import DeviceError
from engine.kernels.webgpu import Gpu, gpu
from engine.optimize.stochastic import LoopOptions, LoopScene, StochasticLoop
from engine.optimize.stochastic.limits import BINDING, misfit
from tests.engine.optimize.stochastic.loop_scenes import blotches, cameras, globe_scene, pictures, texture_of

DEFAULTS = {BINDING: 128 * 2**20, "max-texture-dimension-2d": 8192}
GROUPS = ("base_color", "roughness_metallic", "normal_map")
SHADING = """#include surface
fn shade(surface: Surface) -> vec3f {
    let lit = 0.6 + 0.4 * dot(surface.normal, surface.toward);
    return lit * surface.base_color + vec3f(surface.roughness, surface.metallic, 0.2) * lit * lit;
}
"""
MESH = {"vertices": 100, "triangles": 200, "photo": (64, 64)}


def narrow(most: int) -> Gpu:
    """A device of its own that is held to `most` bytes per binding."""
    device = Gpu()
    device.limits.update({BINDING: most})
    return device


def scene_of(texture: np.ndarray) -> LoopScene:
    made = globe_scene(texture, 8, 6)
    tangents = np.tile(np.float32([1, 0, 0, 1]), (len(made.vertices), 1))
    shared = made.vertices, made.triangles, made.uvs, made.uv_triangles, made.texture
    return LoopScene(*shared, tangents, made.triangles)


@pytest.fixture(scope="module")
def views():
    return pictures(gpu(), scene_of(texture_of(blotches(64), 0.5, 0.4)), cameras(2, 32), SHADING, "base_color")


def loop_on(device: Gpu, views: list, size: tuple[int, int] = (64, 64), **options) -> StochasticLoop:
    scene = scene_of(texture_of(np.full((*size, 3), 0.5, np.float32)))
    return StochasticLoop(device, scene, views, LoopOptions(**({"order": GROUPS} | options)), SHADING)


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_a_texture_larger_than_a_binding_gives_the_same_bits(views, size):
    wide, tight = loop_on(gpu(), views, size), loop_on(narrow(30_000), views, size)
    assert wide.memory.texture.whole and not tight.memory.texture.whole and len(tight.memory.texture.rows) >= 2
    for loop in (wide, tight):
        loop.step(12)
    for name, array in wide.state().items():
        np.testing.assert_array_equal(array, tight.state()[name], name)
    assert not np.array_equal(wide.texture(), loop_on(gpu(), views, size).texture())
    camera = views[0].camera
    np.testing.assert_array_equal(wide.preview(camera), tight.preview(camera))


def test_a_texture_in_parts_goes_on_from_a_saved_state(views):
    whole, stopped = loop_on(narrow(30_000), views), loop_on(narrow(30_000), views)
    whole.step(9)
    stopped.step(5)
    resumed = loop_on(narrow(30_000), views)
    resumed.restore(stopped.state())
    resumed.step(4)
    np.testing.assert_array_equal(whole.texture(), resumed.texture())


def test_the_loop_runs_at_webgpus_default_limits(views, monkeypatch):
    monkeypatch.setenv("UNRENDER_GPU_LIMITS", "default")
    device = Gpu()
    assert device.limits[BINDING] == 128 * 2**20 and device.limits["max-buffer-size"] == 256 * 2**20
    loop = loop_on(device, views)
    before = loop.psnr()
    loop.step(100)
    assert loop.psnr() > before + 1


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"texture": (4096, 4096)}, None),
        ({"texture": (8192, 8192)}, r"texture of 8192x8192 .*GPU.* \(128 MiB\); use one of 4096x4096 or less"),
        ({"photo": (4000, 6000)}, "photos of 6000x4000 pixels .* set the stage's image_size to 4096 or less"),
        (
            {"triangles": 2_000_000, "vertices": 1_000_000},
            "mesh of 2,000,000 triangles .* simplify it to 1,3.* or less",
        ),
        ({"triangles": 1_000_000, "vertices": 500_000}, None),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(sizes, sentence):
    found = misfit(DEFAULTS, "GPU", **(MESH | sizes))
    if sentence is None:
        assert found is None
    else:
        with pytest.raises(AssertionError, match=sentence):
            raise AssertionError(found)


def test_a_loop_that_does_not_fit_is_refused_before_anything_is_reserved(views):
    with pytest.raises(
        DeviceError, match=r"does not fit: the credit of a texture of 64x64 .* use one of 32x32 or less"
    ):
        loop_on(narrow(20_000), views)


def test_float_atomics_agree_with_fixed_point_to_rounding(views):
    if not gpu().float_atomics:
        pytest.skip("the adapter has no shader-float32-atomic")
    loops = [loop_on(gpu(), views, order=("vertices",), float_atomics=on) for on in (False, True)]
    fixed, floats = (np.mean([loop.gradient(index=i) for i in range(4)], 0) for loop in loops)
    np.testing.assert_allclose(floats, fixed, atol=1e-5 * np.abs(fixed).max())
    assert not np.array_equal(floats, fixed)  # else it summed in fixed point
    moved = [loop_on(gpu(), views, order=("base_color",), float_atomics=on) for on in (False, True)]
    for loop in moved:
        loop.step(2)
    before = np.float32(0.5)
    change, expected = (loop.texture()[..., :3] - before for loop in moved[::-1])
    assert np.abs(expected).max() > 0.01
    # Adam's first steps are as long for whatever gradient: texels whose differences cancel may go either way
    assert np.mean(np.abs(change - expected) > 1e-3) < 0.02


def test_an_adapter_without_float_atomics_is_told(views):
    device = Gpu()
    device.float_atomics = False
    with pytest.raises(DeviceError, match="shader-float32-atomic.*set optimize.float_atomics=false"):
        loop_on(device, views, float_atomics=True)
