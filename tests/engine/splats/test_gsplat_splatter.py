"""The adapter to gsplat: what goes in and comes back, with a small rasterizer in its place."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.errors import DeviceError
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.gsplat_splatter import GsplatSplatter
from engine.splats.harmonics import colored
from engine.splats.parameters import SplatTensors
from tests.engine.splats.scenes import camera, loss_of, scene
from tests.engine.splats.test_camera_motion import loss, shifted
from tests.engine.splats.test_camera_motion import scene as motion_scene


def rasterization(*, means, quats, scales, opacities, colors, viewmats, Ks, width, height, sh_degree=None, **rest):  # noqa: N803
    """gsplat's function of this name, for one camera and every splat as a ball of its largest scale."""
    assert rest["packed"] is False and rest["near_plane"] == 0.01 and rest["eps2d"] == 0.3
    assert quats.shape == (len(means), 4) and len(viewmats) == len(Ks) == 1
    rotation, offset = viewmats[0, :3, :3], viewmats[0, :3, 3]
    if sh_degree is not None:
        colors = colored(means, -(rotation.T @ offset), colors, sh_degree)
    points = means @ rotation.T + offset
    places = points[:, :2] / points[:, 2:] * torch.stack([Ks[0, 0, 0], Ks[0, 1, 1]]) + Ks[0, :2, 2]
    places = places[None]
    if places.requires_grad:
        places.retain_grad()
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    away = (x - places[0, :, 0, None, None]) ** 2 + (y - places[0, :, 1, None, None]) ** 2
    size = (scales.amax(1) * Ks[0, 0, 0] / points[:, 2])[:, None, None]
    weight = opacities[:, None, None] * torch.exp(-away / (2 * size * size)) / len(means)
    image = torch.einsum("nhw,nc->hwc", weight, colors)
    seen = {"means2d": places, "radii": torch.ones(1, len(means), 2, dtype=torch.int32)}
    return image[None], weight.sum(0)[None, ..., None], seen


@pytest.fixture
def drawing(monkeypatch) -> GsplatSplatter:
    monkeypatch.setitem(sys.modules, "gsplat", SimpleNamespace(rasterization=rasterization))
    monkeypatch.setattr(GsplatSplatter, "device", "cpu")
    return splatter("gsplat")


def test_images_have_their_shapes_and_every_parameter_its_gradient(drawing):
    tensors = SplatTensors.of(scene("gaussian", 12, 2))
    for tensor in tensors.tensors().values():
        tensor.requires_grad_()
    extra = torch.zeros(12, 1, requires_grad=True)
    image = drawing.render(tensors, camera(), SplatOptions(torch.ones(3), depth=True, extra=extra))
    assert image.color.shape == (37, 53, 3) and image.extra.shape == (37, 53, 1) and image.normal.shape == (37, 53, 3)
    assert image.depth.shape == image.alpha.shape == (37, 53) and image.radii.tolist() == [1] * 12
    loss_of(image).backward()
    assert all(bool(tensor.grad.any()) for name, tensor in tensors.tensors().items())
    assert bool(extra.grad.any())
    assert image.screen.shape == image.screen.grad.shape == (12, 2) and bool(image.screen.grad.all())
    pixels, _ = camera().project(tensors.means.detach().numpy())
    np.testing.assert_allclose(image.screen.detach(), pixels, atol=1e-3)


def test_the_camera_has_a_gradient(drawing):
    splats, view, target = motion_scene()
    motion = torch.zeros(10, requires_grad=True)
    loss("gsplat", splats, view, target, motion).backward()
    for index in range(6):
        more, less = (float(loss("gsplat", splats, shifted(view, index, step), target)) for step in (1e-2, -1e-2))
        assert float(motion.grad[index]) == pytest.approx((more - less) / 2e-2, rel=0.05, abs=2e-5)
    assert not motion.grad[6:].any()


def test_what_it_cannot_draw_is_said(drawing, monkeypatch):
    with pytest.raises(DeviceError, match="surface"):
        drawing.render(SplatTensors.of(scene("surface", 3)), camera())
    monkeypatch.setattr(GsplatSplatter, "device", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device"):
            splatter("gsplat")
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(DeviceError, match="not installed"):
        splatter("gsplat")
