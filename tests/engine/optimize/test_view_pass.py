"""What a view sees of a mesh."""

from __future__ import annotations

import numpy as np
import torch

from engine.optimize.stages.view_pass import see, surface_points, surface_points_reference
from engine.optimize.views import View
from engine.raster import rasterizer
from engine.raster.contract import VisibilityBuffer
from engine.scene.camera import look_at
from engine.shading.environment import EnvironmentLight


def test_surface_points_project_to_their_pixels():
    camera = look_at(np.array([3.0, 1, 2]), np.zeros(3), np.array([0.0, 0, 1]), 50.0, 64, 48).cropped(7, 9, 40, 30)
    pixel = torch.arange(0, 1200, 7)
    depth = torch.linspace(1, 5, len(pixel))
    buffer = VisibilityBuffer(torch.zeros(30, 40), pixel, pixel, torch.zeros(len(pixel), 2), depth)
    position, toward = surface_points(camera, buffer)
    truth = surface_points_reference(camera, buffer)
    torch.testing.assert_close((position, toward), truth, rtol=1e-5, atol=1e-5)
    found, found_depth = camera.project(position.double().numpy())
    np.testing.assert_allclose(found, torch.stack([pixel % 40, pixel // 40], 1) + 0.5, atol=1e-4)
    np.testing.assert_allclose(found_depth, depth, rtol=1e-5)
    np.testing.assert_allclose(toward.norm(dim=1), 1, rtol=1e-6)


def test_positions_follow_the_surface_along_the_rays_of_their_pixels():
    camera = look_at(np.array([3.0, 1, 2]), np.zeros(3), np.array([0.0, 0, 1]), 50.0, 64, 48)
    vertices = torch.tensor([[-1.0, -1, 0.2], [1.2, -0.8, -0.1], [0.1, 1.1, 0.0]])
    normal = torch.nn.functional.normalize(
        torch.linalg.cross(vertices[1] - vertices[0], vertices[2] - vertices[0]), dim=0
    )
    view = View(0, camera, torch.zeros(48, 64, 3), torch.zeros(48, 64))

    def seen(shift: torch.Tensor):
        triangle = torch.tensor([[0, 1, 2]], dtype=torch.int32)
        return see(rasterizer("numba"), [view], vertices + shift * normal, triangle, EnvironmentLight(8))[0]

    shift = torch.zeros((), requires_grad=True)
    here = seen(shift)
    assert here.count > 100
    along = torch.stack([torch.autograd.grad(here.position[:, k].sum(), shift, retain_graph=True)[0] for k in range(3)])
    truth = (here.toward_camera / (here.toward_camera @ normal)[:, None]).sum(0)  # stays on its ray and on the plane
    torch.testing.assert_close(along, truth, rtol=1e-3, atol=1e-2)
