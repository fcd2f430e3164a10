"""The fused photo loss equals its torch twin, and cutting away what is empty changes neither value nor gradient."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch

from engine.optimize.crop import Crop, object_crop, surface_crop
from engine.optimize.losses import log_l1, mse, ssim_loss
from engine.optimize.photo_loss import PhotoWeights, photo_loss, photo_loss_reference
from engine.optimize.views import View
from engine.scene import Camera
from engine.shading.tone import log_tonemap


def camera(height: int, width: int) -> Camera:
    pose = np.eye(4)
    pose[2, 3] = -4
    return Camera(pose, (60.0, 60.0), (width / 2, height / 2), width, height)


def pair(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, View]:
    """A rendered image [H,W,4] and a photo, both empty outside a disc, with dark, bright and equal pixels."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    inside = ((x**2 + y**2).sqrt() < 0.3 * min(height, width)).float()
    color, other = (torch.rand(height, width, 4, generator=generator) * inside[..., None] for _ in range(2))
    color[..., :3] = color[..., :3] ** 4 * 3
    other[::3] = color[::3]
    view = View(0, camera(height, width), color[..., :3].contiguous(), color[..., 3].contiguous())
    return other.contiguous().requires_grad_(), view


def evaluated(loss, image, view, weights):
    image = image.detach().clone().requires_grad_()
    value, terms = loss(image, view, weights)
    (2 * value).backward()
    return value.detach(), terms, image.grad


def in_double(view: View) -> View:
    return View(0, view.camera, view.premultiplied.double(), view.alpha.double(), view.part, view.photo_size)


@pytest.mark.parametrize("size", [(37, 45), (11, 64), (80, 12), (9, 20)])
@pytest.mark.parametrize("structure", [0.0, 0.3])
def test_the_fused_loss_is_the_torch_one(size, structure):
    weights = PhotoWeights(0.7, 2.0, structure)
    image, view = pair(*size)
    value, terms, gradient = evaluated(photo_loss, image, view, weights)
    truth, truth_terms, truth_gradient = evaluated(photo_loss_reference, image.double(), in_double(view), weights)
    assert terms.keys() == truth_terms.keys() and ("ssim" in terms) == bool(structure)
    assert terms == pytest.approx(truth_terms, rel=2e-6) and float(value) == pytest.approx(float(truth), rel=2e-6)
    assert float((gradient - truth_gradient).abs().max()) < 2e-5 * float(truth_gradient.abs().max())


def test_the_terms_are_the_losses_of_the_whole_image():
    image, view = pair(30, 40)
    _, terms = photo_loss(image, view, PhotoWeights(0.5, 2.0, 0.25))
    expected = {
        "color": 0.5 * log_l1(image[..., :3], view.premultiplied),
        "mask": 2 * mse(image[..., 3], view.alpha),
        "ssim": 0.25 * ssim_loss(image[..., :3], view.premultiplied),
    }
    assert terms == pytest.approx({name: float(value.detach()) for name, value in expected.items()}, rel=1e-5)


@pytest.mark.parametrize("loss", [photo_loss, photo_loss_reference])
def test_a_close_up_has_the_loss_and_gradient_of_the_whole(loss):
    image, view = pair(150, 180)
    weights = PhotoWeights(0.7, 2.0, 0.3)
    crop = object_crop(view.alpha.numpy()).widened(view.camera.size)
    assert crop.x0 > 0 and crop.y0 > 0 and crop.x1 < 180 and crop.y1 < 150
    value, terms, gradient = evaluated(loss, image, view, weights)
    part = image[crop.y0 : crop.y1, crop.x0 : crop.x1]
    near, near_terms, near_gradient = evaluated(loss, part, view.cropped(crop), weights)
    assert float(near) == pytest.approx(float(value), rel=1e-5) and near_terms == pytest.approx(terms, rel=1e-5)
    inside = gradient[crop.y0 : crop.y1, crop.x0 : crop.x1]
    torch.testing.assert_close(near_gradient, inside, rtol=1e-4, atol=1e-8)
    assert float(gradient.abs().sum() - inside.abs().sum()) < 1e-5 * float(gradient.abs().sum())


def test_the_encoding_is_the_tone_map_over_its_range():
    values = torch.cat([torch.zeros(1), torch.logspace(-9, 4, 2999)]).reshape(100, 10, 3)
    image = torch.cat([values, torch.zeros(100, 10, 1)], -1).repeat(1, 2, 1)
    view = View(0, camera(100, 20), torch.zeros(100, 20, 3), torch.zeros(100, 20))
    weights = PhotoWeights(1.0, 1.0)
    _, _, gradient = evaluated(photo_loss, image, view, weights)
    _, _, truth = evaluated(photo_loss_reference, image.double(), in_double(view), weights)
    torch.testing.assert_close(gradient.double(), truth, rtol=1e-5, atol=0)
    from engine.optimize.photo_kernels import encode_image

    encoded, slope, none = (
        np.empty((100, 60), np.float32),
        np.empty((100, 60), np.float32),
        np.empty((0, 0), np.float32),
    )
    encode_image(image.numpy(), encoded, False, encoded, slope, none, none, none)
    truth = log_tonemap(image[..., :3].double()).reshape(100, 60).numpy()
    np.testing.assert_allclose(encoded, truth, rtol=1e-5, atol=1e-7)


def test_values_that_are_not_finite_are_not_hidden():
    for poison in (float("nan"), float("inf")):
        image, view = pair(20, 20)
        image = image.detach().clone()
        image[10, 10, 1] = poison
        assert not torch.isfinite(photo_loss(image, view, PhotoWeights(1.0, 1.0, 0.1))[0])


def test_the_thread_count_changes_no_bit():
    image, view = pair(50, 60)
    weights, threads = PhotoWeights(0.7, 2.0, 0.3), numba.get_num_threads()
    first = evaluated(photo_loss, image, view, weights)
    numba.set_num_threads(1)
    try:
        again = evaluated(photo_loss, image, view, weights)
    finally:
        numba.set_num_threads(threads)
    assert torch.equal(first[0], again[0]) and first[1] == again[1] and torch.equal(first[2], again[2])


def test_alpha_alone_has_the_mask_term():
    image, view = pair(20, 30)
    value, terms = photo_loss(image[..., 3:], view, PhotoWeights(1.0, 3.0, 0.5))
    assert list(terms) == ["mask"]
    expected = 3 * mse(image[..., 3], view.alpha)
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_crops_hold_what_the_surface_can_cover():
    seen = camera(80, 100)
    points = np.array([[0.1, 0.2, 0], [-0.3, 0, 0.2], [0, -0.1, 0]])
    crop = surface_crop(points, seen)
    pixels, _ = seen.project(points)
    assert (pixels >= [crop.x0, crop.y0]).all() and (pixels <= [crop.x1, crop.y1]).all()
    assert surface_crop(np.array([[0, 0, -9.0]]), seen) == Crop(0, 0, 100, 80), "behind the camera: anything"
    assert surface_crop(np.array([[np.nan, 0, 0]]), seen) == Crop(0, 0, 100, 80)
    assert surface_crop(points + [50, 0, 0], seen) is None
    assert object_crop(np.zeros((4, 4))) is None
    assert Crop(20, 30, 60, 61).widened((80, 100)) == Crop(0, 16, 80, 80)
