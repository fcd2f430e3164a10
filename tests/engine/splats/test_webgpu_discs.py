"""The WGSL splatter's discs against the float64 reference, on whatever adapter there is."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from engine.kernels.adapters import adapters
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from tests.engine.splats.scenes import camera, check_distortion, compared, deep_discs, layered_discs, rendered, scene
from tests.engine.splats.test_numba_discs import test_the_camera_has_a_gradient as check_camera
from tests.engine.splats.test_numba_discs import through_the_camera
from tests.engine.splats.test_numba_splatter import mixed

VALUES = ("color", "alpha", "depth", "normal", "extra", "distortion", "median_depth")
pytestmark = pytest.mark.skipif(not adapters(), reason="no WebGPU adapter")


compare = functools.partial(compared, "webgpu", VALUES)


@pytest.mark.parametrize("depth", [False, True])
@pytest.mark.parametrize("channels", [0, 2, 5])
def test_images_and_gradients_are_those_of_the_reference(depth, channels):
    extra = torch.from_numpy(np.random.default_rng(2).normal(size=(80, channels))).float() if channels else None
    splats = mixed("surface")
    splats.means[5:10, 0] -= 25  # beside the view
    compare(splats, SplatOptions(background=torch.tensor([0.2, 0.5, 0.7]), depth=depth, extra=extra))


def test_deep_stacks_stop_where_the_reference_stops():
    compare(deep_discs(), SplatOptions(depth=True))


def test_a_thin_layer_seen_from_afar_keeps_the_digits_of_its_distortion():
    compare(layered_discs(), SplatOptions(depth=True))
    check_distortion("webgpu")


@pytest.mark.parametrize("size", [(53, 37), (100, 7), (33, 65)])
def test_discs_that_pass_the_camera(size):
    compare(through_the_camera(), SplatOptions(), camera(*size, focal=0.7 * max(size)), values=1e-4)


def test_what_is_not_a_number_is_not_seen_and_leaves_the_rest_alone():
    splats = scene("surface", 30)
    splats.means[0], splats.rotations[1], splats.log_scales[2], splats.logits[3] = np.nan, np.nan, np.nan, np.nan
    splats.log_scales[4] = np.inf
    splats.log_scales[5, 2] = np.nan  # discs have no thickness
    image, gradients = rendered("webgpu", splats, camera(), SplatOptions(depth=True), torch.float32)
    assert (image.radii[:6] > 0).tolist() == [False] * 5 + [True]
    assert all(bool(getattr(image, name).isfinite().all()) for name in ("color", "alpha", "depth", "distortion"))
    assert all(bool(gradient[6:].isfinite().all()) for gradient in gradients.values())


def test_nothing_to_be_seen():
    none = SplatTensors.of(scene("surface", 3).select(np.arange(0)))
    image = splatter("webgpu").render(none, camera(), SplatOptions(depth=True))
    assert not any(getattr(image, name).any() for name in ("color", "alpha", "depth", "normal", "median_depth"))


def test_the_same_bits_again():
    def bits() -> list[bytes]:
        image, gradients = rendered("webgpu", mixed("surface", 2), camera(), SplatOptions(depth=True), torch.float32)
        return [tensor.detach().numpy().tobytes() for tensor in (image.color, image.distortion, *gradients.values())]

    assert bits() == bits()


def test_the_camera_has_a_gradient():
    check_camera("webgpu")
