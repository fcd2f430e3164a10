"""Mip levels from screen derivatives: known scales, and finite differences of the perspective mapping."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.raster.contract import VisibilityBuffer
from engine.raster.texture import texture_level
from engine.raster.texture_level import _levels_reference


def full_buffer(height, width, triangle):
    """A buffer in which every pixel shows the same triangle (the level needs no more than that)."""
    count = height * width
    return VisibilityBuffer(
        torch.full((height, width), triangle + 1, dtype=torch.int32),
        torch.arange(count),
        torch.full((count,), triangle, dtype=torch.int64),
        torch.zeros(count, 2),
        torch.ones(count),
    )


@pytest.mark.parametrize("texture_side, expected", [(16, 0.0), (64, 2.0), (8, 0.0), (256, 4.0)])
def test_level_counts_the_halvings_to_one_texel_per_pixel(texture_side, expected):
    clip = torch.tensor([[-1.0, -1, 0, 1], [1, -1, 0, 1], [-1, 1, 0, 1]])
    uvs = torch.tensor([[0.0, 0], [1, 0], [0, 1]])
    index = torch.tensor([[0, 1, 2]], dtype=torch.int32)
    level = texture_level(clip, index, uvs, index, full_buffer(16, 16, 0), (16, 16), (texture_side, texture_side))
    assert torch.allclose(level, torch.full((256,), expected), atol=1e-5)


def test_level_agrees_with_finite_differences_in_perspective():
    size, texture_size = (20, 30), (512, 256)
    clip = np.array([[-0.8, -0.9, 0.1, 1.0], [3.0, -2.0, 0.2, 3.5], [-1.0, 4.0, 0.3, 5.0]])
    uvs = np.array([[0.1, 0.2], [0.9, 0.3], [0.4, 0.8]])

    def texel(x, y):
        """The texel under a point of the image: solve for the weights with which the vertices project onto it."""
        matrix = np.stack(
            [clip[:, 0] + clip[:, 3] - clip[:, 3] * 2 * x / size[1], clip[:, 1] + clip[:, 3] * (1 - 2 * y / size[0])]
        )
        weights = np.linalg.solve(np.vstack([matrix, np.ones(3)]), [0.0, 0.0, 1.0])
        return weights @ uvs * [texture_size[1], texture_size[0]]

    expected = []
    for pixel in range(size[0] * size[1]):
        x, y = pixel % size[1] + 0.5, pixel // size[1] + 0.5
        dx = (texel(x + 1e-4, y) - texel(x - 1e-4, y)) / 2e-4
        dy = (texel(x, y + 1e-4) - texel(x, y - 1e-4)) / 2e-4
        expected.append(max(np.log2(max(np.linalg.norm(dx), np.linalg.norm(dy))), 0.0))
    index = torch.tensor([[2, 1, 0], [0, 1, 2]], dtype=torch.int32)
    uv_index = torch.tensor([[0, 0, 0], [2, 1, 0]], dtype=torch.int32)
    buffer = full_buffer(*size, 1)
    points, flipped = torch.tensor(clip), torch.tensor(uvs[::-1].copy())
    level = texture_level(points.float(), index, flipped.float(), uv_index, buffer, size, texture_size)
    assert np.allclose(level.numpy(), expected, atol=1e-3)
    slow = _levels_reference(points, index, flipped, uv_index, buffer.pixel, buffer.triangle, size, texture_size)
    assert np.allclose(slow.numpy(), expected, atol=1e-5)
