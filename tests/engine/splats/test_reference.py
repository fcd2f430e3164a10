"""The reference splatter against what can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.scene.camera import Camera
from engine.scene.gaussians import CONSTANT, KINDS, Gaussians
from engine.splats import splatter
from engine.splats.constants import ALPHA_MAX, ALPHA_MIN, LOW_PASS, NEAR
from engine.splats.contract import SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors
from tests.engine.splats.scenes import camera, loss_of, scene

AHEAD = Camera(np.eye(4), (50.0, 40.0), (15.5, 10.5), 31, 21)  # at the origin; the axis meets the centre of [10, 15]


def splat(z: float, opacity: float = 0.5, scale=(0.2, 0.2, 0.2), color=(1.0, 1.0, 1.0), kind="gaussian", **more):
    """One splat on the axis at depth z, or another `mean`, of a constant colour."""
    fields = {
        "means": np.array([more.pop("mean", (0, 0, z))], np.float32),
        "rotations": np.array([more.pop("rotation", (1, 0, 0, 0))], np.float32),
        "log_scales": np.log(np.array([scale], np.float32)),
        "logits": np.array([math.log(opacity / (1 - opacity))], np.float32),
        "harmonics": (np.array([[color]], np.float32) - 0.5) / np.float32(CONSTANT),
    }
    return Gaussians(kind=kind, shapes=np.array([more["shape"]], np.float32) if more else None, **fields)


def together(*splats: Gaussians) -> Gaussians:
    arrays = {name: np.concatenate([s.arrays()[name] for s in splats]) for name in splats[0].arrays()}
    return Gaussians(kind=splats[0].kind, **arrays)


def shown(splats: Gaussians, view: Camera = AHEAD, dtype=torch.float64, **options) -> SplatImage:
    return splatter("reference").render(SplatTensors.of(splats, dtype), view, SplatOptions(**options))


def test_a_round_gaussian_falls_off_as_its_projected_covariance_says():
    image = shown(splat(4.0), depth=True)
    x, y = np.meshgrid(np.arange(31) - 15.0, np.arange(21) - 10.0)
    expected = 0.5 * np.exp(-0.5 * (x**2 / ((50 * 0.2 / 4) ** 2 + LOW_PASS) + y**2 / ((40 * 0.2 / 4) ** 2 + LOW_PASS)))
    expected[expected < ALPHA_MIN] = 0
    np.testing.assert_allclose(image.alpha, expected, atol=1e-7)
    np.testing.assert_allclose(image.color, np.repeat(expected[..., None], 3, -1), atol=1e-7)
    np.testing.assert_allclose(image.depth, 4 * expected, atol=1e-6)
    np.testing.assert_allclose(image.screen, [[15.5, 10.5]])
    reach = 2 * math.log(0.5 / ALPHA_MIN)
    assert image.radii.tolist() == [math.ceil(math.sqrt(reach * ((50 * 0.2 / 4) ** 2 + LOW_PASS)))]


def test_off_the_axis_the_projection_is_linearized_no_further_than_its_limit():
    limit = 1.3 * 0.5 * 31 / 50
    for x, along in ((1.0, 0.25), (2.6, limit)):  # x/z, and where the Jacobian is taken
        image = shown(splat(4.0, mean=(x, 0, 4.0), scale=(1.0, 1.0, 1.0)), extra=torch.ones(1, 1, dtype=torch.float64))
        variance = (50 / 4) ** 2 * (1 + along**2) + LOW_PASS
        column = np.arange(31) + 0.5 - (15.5 + 50 * x / 4)
        expected = 0.5 * np.exp(-0.5 * column**2 / variance)
        np.testing.assert_allclose(image.extra[10, :, 0], np.where(expected < ALPHA_MIN, 0, expected), atol=1e-7)


def test_splats_blend_front_to_back_whatever_their_order():
    near, far = splat(2.0, 0.6, color=(1, 0, 0)), splat(5.0, 0.8, color=(0, 1, 0), scale=(0.5, 0.5, 0.5))
    for splats in (together(near, far), together(far, near)):
        image = shown(splats, background=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), depth=True)
        np.testing.assert_allclose(image.color[10, 15], [0.6, 0.4 * 0.8, 0.4 * 0.2], atol=1e-6)
        np.testing.assert_allclose(image.alpha[10, 15], 1 - 0.4 * 0.2, atol=1e-6)
        np.testing.assert_allclose(image.depth[10, 15], 0.6 * 2 + 0.4 * 0.8 * 5, atol=1e-6)
        assert float(image.median_depth[10, 15]) == pytest.approx(2.0)
        assert float(image.median_depth[10, 21]) == pytest.approx(5.0)  # the nearer one has faded
        assert float(image.median_depth[0, 0]) == 0
        assert image.distortion is None


def test_equal_depths_blend_by_index():
    image = shown(together(splat(3.0, color=(1, 0, 0)), splat(3.0, color=(0, 1, 0))))
    np.testing.assert_allclose(image.color[10, 15], [0.5, 0.25, 0], atol=1e-6)


def test_blending_stops_before_transmittance_falls_below_its_least():
    image = shown(together(*[splat(3.0 + k, 0.95, scale=(1.0 + k, 1.0 + k, 1.0)) for k in range(6)]))
    assert float(image.alpha[10, 15]) == pytest.approx(1 - 0.05**3, abs=1e-9)


def test_alpha_is_clamped_without_a_gradient_and_skipped_below_its_least():
    tensors = SplatTensors.of(splat(3.0, 0.999), torch.float64)
    tensors.logits.requires_grad_()
    image = splatter("reference").render(tensors, AHEAD)
    assert float(image.alpha[10, 15].detach()) == pytest.approx(ALPHA_MAX)
    image.alpha[10, 15].backward()
    assert float(tensors.logits.grad) == 0.0
    seen = shown(splat(3.0, 0.5)).alpha
    assert float(seen[seen > 0].min()) >= ALPHA_MIN
    hidden = shown(splat(3.0, 0.99 * ALPHA_MIN))
    assert not hidden.alpha.any()
    assert hidden.radii.tolist() == [0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_nearer_than_the_least_depth_or_beside_the_image_is_not_seen(kind):
    more = {"kind": kind} | ({"shape": 2.0} if kind == "exponential" else {})
    small = (1e-3, 1e-3, 1e-3)
    splats = together(
        splat(0.5 * NEAR, scale=small, **more),
        splat(-2.0, scale=small, **more),
        splat(2.0, mean=(9, 0, 2), **more),
        splat(2.0, **more),
    )
    image = shown(splats, depth=True)
    assert (image.radii > 0).tolist() == [False, False, False, True]
    np.testing.assert_allclose(image.alpha, shown(splats.select(np.array([3]))).alpha)
    np.testing.assert_array_equal(image.screen[:3], np.zeros((3, 2)))


def test_compensated_opacity_keeps_the_light_of_a_splat_smaller_than_a_pixel():
    plain = shown(splat(4.0, scale=(0.01, 0.01, 0.01)))
    compensated = shown(splat(4.0, scale=(0.01, 0.01, 0.01)), antialiased=True)
    x, y = (50 * 0.01 / 4) ** 2, (40 * 0.01 / 4) ** 2
    factor = math.sqrt(x * y / ((x + LOW_PASS) * (y + LOW_PASS)))
    np.testing.assert_allclose(compensated.alpha[10, 15], factor * plain.alpha[10, 15], rtol=1e-6)


def test_exponentials_of_shape_two_are_gaussians():
    plain, exponential = (
        scene("gaussian", 30),
        replace(scene("gaussian", 30), kind="exponential", shapes=np.full(30, 2, np.float32)),
    )
    np.testing.assert_allclose(shown(exponential, camera()).color, shown(plain, camera()).color, atol=1e-12)
    rescaled = shown(exponential, camera(), rescaled=True)  # phi(2) = 1
    np.testing.assert_allclose(rescaled.color, shown(plain, camera()).color, atol=1e-12)


def test_exponentials_have_their_own_fall_off_or_larger_scales():
    one = splat(4.0, kind="exponential", shape=4.0)
    q = 3.0**2 / ((50 * 0.2 / 4) ** 2 + LOW_PASS)
    assert float(shown(one).alpha[10, 18]) == pytest.approx(0.5 * math.exp(-0.5 * q**2), rel=1e-6)
    phi = 2 / (1 + math.exp(-(0.1 * 4 - 2 * 0.1)))
    q = 3.0**2 / ((50 * 0.2 * phi / 4) ** 2 + LOW_PASS)
    assert float(shown(one, rescaled=True).alpha[10, 18]) == pytest.approx(0.5 * math.exp(-0.5 * q), rel=1e-6)


def test_a_background_image_shows_through():
    background = torch.rand(21, 31, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    image, black = shown(splat(4.0), background=background), shown(splat(4.0))
    np.testing.assert_allclose(image.color, black.color + (1 - black.alpha)[..., None] * background)


def test_harmonics_turn_with_the_direction_from_the_camera():
    one = splat(4.0, mean=(1.0, 0.5, 4.0))
    harmonics = np.zeros((1, 4, 3), np.float32)
    harmonics[0, 1:, :] = 0.1 * np.eye(3)
    image = shown(replace(one, harmonics=harmonics))
    direction = np.array([1.0, 0.5, 4.0]) / np.linalg.norm([1.0, 0.5, 4.0])
    expected = 0.5 + 0.1 * math.sqrt(3 / (4 * math.pi)) * np.array([-direction[1], direction[2], -direction[0]])
    pixel = image.color[15, 28] / image.alpha[15, 28]
    np.testing.assert_allclose(pixel, expected, rtol=1e-6)
    np.testing.assert_allclose(
        (shown(replace(one, harmonics=harmonics), degree=0).color / image.alpha[..., None])[15, 28], 0.5
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_the_background_and_every_type_is_kept(kind, dtype):
    splats = scene(kind, 5)
    background = torch.tensor([0.1, 0.2, 0.3], dtype=dtype)
    for chosen in (splats, splats.select(np.zeros(5, bool))):
        image = shown(chosen, camera(), dtype, depth=True, background=background)
        assert {getattr(image, n).dtype for n in ("color", "alpha", "depth", "normal", "median_depth")} == {dtype}
        assert image.radii.dtype == torch.int32
    np.testing.assert_array_equal(image.color, background.expand(37, 53, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_the_image_are_computed_one_by_one_with_the_same_result(kind, monkeypatch):
    whole = shown(scene(kind, 20), camera(), depth=True)
    monkeypatch.setattr("engine.splats.reference_blend.PAIRS", 20 * 100)
    parts = shown(scene(kind, 20), camera(), depth=True)
    for name in ("color", "alpha", "depth", "normal", "median_depth"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_radii_hold_what_is_covered(kind):
    splats = scene(kind, 40, scale=(0.02, 0.5))
    image = shown(splats, camera(), extra=torch.eye(40, dtype=torch.float64))
    for k in range(40):
        rows, columns = np.nonzero(image.extra[..., k].numpy())
        if len(rows):
            width = max(np.ptp(rows), np.ptp(columns))
            assert 0 < width <= 2 * int(image.radii[k]) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_screen_is_that_of_moving_the_splats_on_the_image(kind):
    """The principal point moves all splats alike, so its finite difference is the sum of their gradients."""
    splats, view, step = scene(kind, 6, 0, scale=(0.3, 0.6)), camera(24, 18, 16.0), 1e-6
    tensors = SplatTensors.of(splats, torch.float64)
    tensors.means.requires_grad_()
    image = splatter("reference").render(tensors, view, SplatOptions(depth=True))
    loss_of(image).backward()
    for axis in range(2):
        losses = []
        for sign in (1, -1):
            centre = list(view.centre)
            centre[axis] += sign * step
            losses.append(float(loss_of(shown(splats, replace(view, centre=tuple(centre)), depth=True))))
        slope = (losses[0] - losses[1]) / (2 * step)
        assert float(image.screen.grad[:, axis].sum()) == pytest.approx(slope, rel=1e-6)
