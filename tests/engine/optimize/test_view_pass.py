"""What a view sees of a mesh."""

from __future__ import annotations

import numpy as np
import torch

from engine.optimize.stages.view_pass import surface_points, surface_points_reference
from engine.raster.contract import VisibilityBuffer
from engine.scene.camera import look_at


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
