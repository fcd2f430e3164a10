"""The numba splatter against the float64 reference: the same images and the same gradients, and the same bits again.

The scenes are random; that none has a pixel at a threshold (of alpha or of transmittance), where single and double
precision may rightly differ, was looked at once for these seeds and shows as a jump of 1/255 if one is changed.
"""

from __future__ import annotations

import functools

import numba
import numpy as np
import pytest
import torch

from engine.scene.gaussians import Gaussians
from engine.splats import constants, reference_blend, splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from tests.engine.splats.scenes import camera, compared, rendered, scene

VALUES = ("color", "alpha", "depth", "normal", "extra", "distortion", "median_depth")
ONE = {
    "gaussian": ("gaussian", {}),
    "antialiased": ("gaussian", {"antialiased": True}),
    "exponential": ("exponential", {}),
    "exponential antialiased": ("exponential", {"antialiased": True}),
    "rescaled": ("exponential", {"rescaled": True}),
}


compare = functools.partial(compared, "numba", VALUES)


def mixed(kind: str, degree: int = 1) -> Gaussians:
    """Splats within the view, and some behind the camera, beside the view, across the whole image and of no size."""
    splats = scene(kind, 80, degree)
    toward = camera().position / np.linalg.norm(camera().position)
    splats.means[:5] += (7 * toward).astype(np.float32)  # behind
    splats.means[5:10, 0] += 30  # beside
    splats.means[10:14, 0] += 2.5  # across the border, where the projection is clamped
    splats.log_scales[14:17] = np.log(np.array([4.0, 3.0, 5.0], np.float32))  # huge
    splats.log_scales[17:25] = np.log(1e-4)  # tiny
    splats.logits[25:28] = -8  # too faint
    splats.logits[28:31] = 8  # clamped
    return splats


@pytest.mark.parametrize("name", ONE)
def test_images_and_gradients_are_those_of_the_reference(name):
    kind, options = ONE[name]
    extra = torch.from_numpy(np.random.default_rng(2).normal(size=(80, 2)))
    background = torch.tensor([0.2, 0.5, 0.7])
    given = SplatOptions(background=background.float(), depth=True, extra=extra.float(), **options)
    compare(mixed(kind), given)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("used", [None, 1])
def test_harmonics_of_every_degree(degree, used):
    compare(mixed("gaussian", degree), SplatOptions(degree=used))


@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
def test_deep_stacks_stop_where_the_reference_stops(kind, monkeypatch):
    splats = scene(kind, 150, 0, seed=3, scale=(0.3, 0.6), spread=0.4)
    splats.logits[:] += 1.5
    image = compare(splats, SplatOptions(depth=True, background=torch.ones(3)))
    assert float(image.alpha.detach().max()) <= 1 - constants.STOP
    monkeypatch.setattr(reference_blend, "STOP", 0.0)
    endless = splatter("reference").render(SplatTensors.of(splats, torch.float64), camera())
    assert int((endless.alpha > 1 - constants.STOP).sum()) > 300  # pixels that had to stop


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
def test_long_and_thin_splats_keep_their_digits(kind, antialiased):
    splats = scene(kind, 100, seed=1)
    splats.log_scales[:] = np.log([[2.0, 0.002, 0.002]])  # a thousand times as long as thick, and thinner than a pixel
    options = SplatOptions(depth=True, antialiased=antialiased)
    compare(splats, options, camera(120, 90, 100.0), values=5e-5)


@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
def test_what_is_not_a_number_is_not_seen_and_leaves_the_rest_alone(kind):
    splats = scene(kind, 30)
    splats.means[0], splats.rotations[1], splats.log_scales[2], splats.logits[3] = np.nan, np.nan, np.nan, np.nan
    splats.log_scales[4] = np.inf
    splats.log_scales[5] = -np.inf  # a point: as large as the low pass
    splats.rotations[6] = 0
    image = compare(splats, SplatOptions())
    assert (image.radii[:7] > 0).tolist() == [False] * 5 + [True] * 2


def test_a_background_image():
    background = torch.rand(37, 53, 3, generator=torch.Generator().manual_seed(0))
    compare(mixed("gaussian"), SplatOptions(background=background))


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (100, 7), (33, 65)])
def test_images_of_any_size(size):
    compare(scene("gaussian", 40), SplatOptions(depth=True), camera(*size, focal=0.7 * max(size)))


def test_equal_depths_keep_the_order_of_the_splats():
    splats = scene("gaussian", 8)
    splats.means[:] = 0
    compare(splats, SplatOptions())


def test_nothing_to_see_is_the_background():
    background = torch.tensor([0.2, 0.5, 0.7])
    hidden = scene("gaussian", 6)
    hidden.means[:] += np.array([0, -30, 0], np.float32)
    for splats in (hidden, hidden.select(np.zeros(6, bool))):
        image, gradients = rendered("numba", splats, camera(), SplatOptions(background, depth=True), torch.float32)
        np.testing.assert_array_equal(image.color.detach(), background.expand(37, 53, 3))
        assert not image.alpha.any()
        assert not image.radii.any()
        assert all(not gradient.any() for name, gradient in gradients.items() if name != "background")
        truth, _ = rendered("reference", splats, camera(), SplatOptions(background, depth=True), torch.float64)
        np.testing.assert_allclose(image.color.detach(), truth.color.detach(), atol=1e-6)


@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
def test_the_same_bits_with_every_number_of_threads(kind):
    splats, options = mixed(kind, 2), SplatOptions(depth=True, antialiased=True)
    threads, seen = numba.get_num_threads(), []
    try:
        for count in (1, 2, 2, 1):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
            image, gradients = rendered("numba", splats, camera(), options, torch.float32)
            seen.append([getattr(image, name).detach().numpy() for name in ("color", "alpha", "depth", "normal")])
            seen[-1] += [gradient.numpy() for gradient in gradients.values()]
    finally:
        numba.set_num_threads(threads)
    for run in seen[1:]:
        for first, second in zip(seen[0], run, strict=True):
            assert first.tobytes() == second.tobytes()


def test_without_gradients_the_image_is_the_same():
    splats = mixed("gaussian")
    plain = splatter("numba").render(SplatTensors.of(splats), camera(), SplatOptions(depth=True))
    image, _ = rendered("numba", splats, camera(), SplatOptions(depth=True), torch.float32)
    np.testing.assert_array_equal(plain.color, image.color.detach())
    assert not plain.screen.requires_grad
