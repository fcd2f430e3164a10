"""The gradient to the camera, against finite differences of the float64 reference.

Eight splats of degree 1 before a camera that looks past the axes, each so wide that it covers the whole image: no pixel
lies where alpha is cut off, and the differences are smooth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from engine.scene import Camera
from engine.scene.camera import look_at
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors

STEP = 1e-4


def scene() -> tuple[SplatTensors, Camera, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    splats = SplatTensors(
        means=0.5 * torch.randn(8, 3, generator=draw),
        rotations=torch.randn(8, 4, generator=draw),
        log_scales=0.3 + 0.1 * torch.randn(8, 3, generator=draw),
        logits=0.3 * torch.randn(8, generator=draw),
        harmonics=0.5 * torch.randn(8, 4, 3, generator=draw),
    )
    camera = look_at(np.array([2.5, 1.5, 1.0]), np.array([0.1, 0.0, -0.1]), np.array([0.0, 0.0, 1.0]), 55.0, 44, 36)
    return splats, camera, torch.rand(36, 44, 3, generator=draw)


def shifted(camera: Camera, index: int, by: float) -> Camera:
    """The camera after a small step of one of the ten numbers."""
    pose, step = camera.world_from_camera.copy(), np.zeros(10)
    step[index] = by
    pose[:3, :3] = Rotation.from_rotvec(step[:3]).as_matrix() @ pose[:3, :3]
    pose[:3, 3] += step[3:6]
    focal = camera.focal[0] + step[6], camera.focal[1] + step[7]
    return replace(
        camera,
        world_from_camera=pose,
        focal=focal,
        centre=(camera.centre[0] + step[8], camera.centre[1] + step[9]),
    )


def loss(name: str, splats: SplatTensors, camera: Camera, target: torch.Tensor, motion=None) -> torch.Tensor:
    image = splatter(name).render(splats, camera, SplatOptions(motion=motion))
    target = target.to(image.color)
    return ((image.color - target) ** 2).mean() + 0.1 * ((image.alpha - target[..., 0]) ** 2).mean()


@pytest.mark.parametrize("name", ["numba"])
def test_the_camera_has_a_gradient(name):
    splats, camera, target = scene()
    motion = torch.zeros(10, requires_grad=True)
    for tensor in splats.tensors().values():
        tensor.requires_grad_()
    loss(name, splats, camera, target, motion).backward()
    double = SplatTensors(**{key: value.detach().double() for key, value in splats.tensors().items()})
    expected = np.zeros(10)
    for index in range(10):
        step = STEP if index < 6 else 10 * STEP
        more, less = (loss("reference", double, shifted(camera, index, sign * step), target) for sign in (1, -1))
        expected[index] = float(more - less) / (2 * step)
    # of the focal lengths little is left of large float32 terms that cancel
    for part, share in ((slice(0, 3), 1e-3), (slice(3, 6), 1e-3), (slice(6, 8), 0.03), (slice(8, 10), 1e-3)):
        error = np.linalg.norm(motion.grad.numpy()[part] - expected[part])
        assert error <= share * np.linalg.norm(expected[part]), (motion.grad, expected)


def test_no_motion_asked_no_gradient_made():
    splats, camera, target = scene()
    splats.means.requires_grad_()
    loss("numba", splats, camera, target).backward()
    assert splats.means.grad.abs().max() > 0
