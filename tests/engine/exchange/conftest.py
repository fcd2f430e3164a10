"""One small asset with everything: a seam, smooth normals, and base colour, ORM and normal textures."""

import numpy as np
import pytest

from engine.scene import Environment, Material, Mesh
from engine.scene.environment import direction_of_texel


@pytest.fixture(scope="session")
def asset() -> tuple[Mesh, Material]:
    columns, rows = 24, 12
    v, u = np.meshgrid(np.linspace(0.04, 0.96, rows + 1), np.arange(columns + 1) / columns, indexing="ij")
    theta, phi = v * np.pi, (u % 1) * 2 * np.pi
    points = np.stack([1.2 * np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), 0.8 * np.cos(theta)], -1)
    uv_index = np.arange(u.size).reshape(u.shape)
    index = np.arange((rows + 1) * columns).reshape(rows + 1, columns)[:, [*range(columns), 0]]

    def triangles(grid):
        a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
        return np.concatenate([np.stack([a, d, c], -1), np.stack([a, c, b], -1)]).reshape(-1, 3).astype(np.int32)

    mesh = Mesh(
        points[:, :-1].reshape(-1, 3).astype(np.float32),
        triangles(index),
        np.stack([u, v], -1).reshape(-1, 2).astype(np.float32),
        triangles(uv_index),
    )
    y, x = np.meshgrid(np.arange(64) / 64, np.arange(64) / 64, indexing="ij")
    phase = 2 * np.pi * (3 * x[..., None] + np.array([0, 1, 2]) / 3)
    wave = 0.5 + 0.5 * np.sin(phase) * np.cos(4 * np.pi * y)[..., None]
    packed = np.stack([0.7 + 0.3 * wave[..., 0], 0.2 + 0.6 * wave[..., 1], (wave[..., 2] > 0.5) * 1.0], -1)
    bumps = np.stack([0.4 * np.sin(8 * np.pi * x), 0.3 * np.cos(6 * np.pi * y), np.ones_like(x)], -1)
    bumps /= np.linalg.norm(bumps, axis=-1, keepdims=True)
    return mesh, Material(wave.astype(np.float32), packed.astype(np.float32), bumps.astype(np.float32))


@pytest.fixture(scope="session")
def environment() -> Environment:
    direction = direction_of_texel(16, 32)
    sun = 8 * np.exp(20 * (direction @ np.array([0.6, 0.64, 0.48]) - 1))
    sky = 0.4 + 0.3 * direction[..., 1:2] * np.array([0.6, 0.8, 1.0])
    return Environment((sky + sun[..., None]).astype(np.float32))
