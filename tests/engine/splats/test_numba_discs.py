"""The numba splatter's discs against the float64 reference: the same images and the same gradients."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch

from engine.scene.gaussians import Gaussians
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from tests.engine.splats.scenes import camera, check_distortion, deep_discs, layered_discs, rendered, scene
from tests.engine.splats.test_camera_motion import STEP, loss, shifted
from tests.engine.splats.test_camera_motion import scene as motion_scene
from tests.engine.splats.test_numba_splatter import compare, mixed


@pytest.mark.parametrize("depth", [False, True])
def test_images_and_gradients_are_those_of_the_reference(depth):
    extra = torch.from_numpy(np.random.default_rng(2).normal(size=(80, 2)))
    background = torch.tensor([0.2, 0.5, 0.7])
    splats = mixed("surface")
    splats.means[5:10, 0] -= 25  # beside the view, but not so far that single precision tells no pixels apart
    compare(splats, SplatOptions(background=background.float(), depth=depth, extra=extra.float()))


def test_deep_stacks_stop_where_the_reference_stops():
    compare(deep_discs(), SplatOptions(depth=True))


def test_a_thin_layer_seen_from_afar_keeps_the_digits_of_its_distortion():
    compare(layered_discs(), SplatOptions(depth=True))
    check_distortion("numba")


def through_the_camera() -> Gaussians:
    """Discs whose planes pass near the camera, which no ellipse bounds on the image."""
    splats = scene("surface", 20, 0, seed=5, scale=(0.5, 1.0))
    splats.means[:] = splats.means * 0.3 + (0.6 * camera().position).astype(np.float32)
    splats.log_scales[:, :2] = np.log([[2.5, 0.8]])
    return splats


@pytest.mark.parametrize("size", [(53, 37), (100, 7), (33, 65)])
def test_discs_that_pass_the_camera(size):
    compare(through_the_camera(), SplatOptions(), camera(*size, focal=0.7 * max(size)), values=1e-4)


def test_what_is_not_a_number_is_not_seen_and_leaves_the_rest_alone():
    splats = scene("surface", 30)
    splats.means[0], splats.rotations[1], splats.log_scales[2], splats.logits[3] = np.nan, np.nan, np.nan, np.nan
    splats.log_scales[4] = np.inf
    splats.log_scales[5, 2] = np.nan  # discs have no thickness
    image, gradients = rendered("numba", splats, camera(), SplatOptions(depth=True), torch.float32)
    assert (image.radii[:6] > 0).tolist() == [False] * 5 + [True]
    assert all(bool(getattr(image, name).isfinite().all()) for name in ("color", "alpha", "depth", "distortion"))
    assert all(bool(gradient[6:].isfinite().all()) for gradient in gradients.values())


def test_the_same_bits_with_every_number_of_threads():
    threads, seen = numba.get_num_threads(), []
    try:
        for count in (1, 2):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
            image, gradients = rendered("numba", mixed("surface", 2), camera(), SplatOptions(depth=True), torch.float32)
            seen.append([image.color.detach().numpy().tobytes(), image.distortion.detach().numpy().tobytes()])
            seen[-1] += [gradient.numpy().tobytes() for gradient in gradients.values()]
    finally:
        numba.set_num_threads(threads)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", ["numba"])
def test_the_camera_has_a_gradient(name):
    splats, view, target = motion_scene()
    splats.kind, motion = "surface", torch.zeros(10, requires_grad=True)
    splats.log_scales += 1.0
    loss(name, splats, view, target, motion).backward()
    double = SplatTensors(kind="surface", **{key: value.double() for key, value in splats.tensors().items()})
    expected = np.zeros(10)
    for index in range(10):
        step = STEP if index < 6 else 10 * STEP
        more, less = (loss("reference", double, shifted(view, index, sign * step), target) for sign in (1, -1))
        expected[index] = float(more - less) / (2 * step)
    for part in (slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 10)):
        error = np.linalg.norm(motion.grad.numpy()[part] - expected[part])
        assert error <= 0.03 * np.linalg.norm(expected[part]), (motion.grad, expected)
