"""Texels know their point of the surface: positions, normals, full coverage under bilinear look-ups, filled gutters."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import GeometryError
from engine.geometry.bake_surface import dilate, nearest_filled, surface_texels
from engine.scene.mesh import Mesh


def flat_grid(n=4, low=0.2, high=0.8) -> Mesh:
    """A flat square of n x n quads in the plane z = 2 whose texture coordinates follow its positions."""
    t = np.linspace(0, 1, n + 1, dtype=np.float32)
    x, y = np.meshgrid(t, t)
    points = np.stack([x, y], -1).reshape(-1, 2)
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).reshape(-1)
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + n + 2], 1), np.stack([corner, corner + n + 2, corner + n + 1], 1)]
    ).astype(np.int32)
    vertices = np.concatenate([points * 3, np.full((len(points), 1), 2, np.float32)], 1)
    return Mesh(vertices, triangles, (low + (high - low) * points).astype(np.float32), triangles)


def test_texels_carry_the_position_under_their_centre():
    texels = surface_texels(flat_grid(), (64, 32))
    y, x = np.divmod(texels.texel, 32)
    uv = np.stack([(x + 0.5) / 32, (y + 0.5) / 64], 1)
    expected = np.clip((uv - 0.2) / 0.6, 0, 1) * 3
    assert np.allclose(texels.positions[:, :2], expected, atol=1e-5) and np.allclose(texels.positions[:, 2], 2)
    assert np.allclose(texels.normals, [0, 0, 1])
    assert (np.diff(texels.texel) > 0).all()
    weights = np.column_stack([texels.barycentrics, 1 - texels.barycentrics.sum(1)])
    assert weights.min() > -1e-6
    inside = np.all((uv > 0.2) & (uv < 0.8), 1)
    assert inside.sum() == np.prod([np.sum(np.abs((np.arange(n) + 0.5) / n - 0.5) < 0.3) for n in (64, 32)])


def test_every_texel_that_a_bilinear_look_up_touches_is_filled():
    random = np.random.default_rng(0)
    triangles = np.arange(90, dtype=np.int32).reshape(-1, 3)
    centres = random.uniform(0.1, 0.9, (30, 1, 2))
    uvs = (centres + random.normal(size=(30, 3, 2)) * [[[0.03, 0.01]]]).reshape(-1, 2).astype(np.float32).clip(0, 1)
    mesh = Mesh(random.normal(size=(90, 3)).astype(np.float32), triangles, uvs, triangles)
    filled = surface_texels(mesh, (128, 128)).filled
    weights = random.dirichlet([0.5, 0.5, 0.5], (30, 200))
    points = np.einsum("fnk,fkc->fnc", weights, uvs[triangles].astype(float)).reshape(-1, 2) * 128 - 0.5
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = (np.floor(points) + [dx, dy]).astype(int).clip(0, 127).T
            assert filled[y, x].all()


def test_corner_values_are_interpolated_and_put_in_place():
    mesh = flat_grid()
    texels = surface_texels(mesh, (32, 32))
    assert np.allclose(texels.interpolate(mesh.vertices[mesh.triangles]), texels.positions)
    image = texels.image(texels.positions, -1.0)
    assert image.shape == (32, 32, 3) and np.array_equal(image[texels.filled], texels.positions)
    assert (image[~texels.filled] == -1).all()


def test_gutters_take_the_nearest_texel():
    texture = np.random.default_rng(0).random((9, 7, 2)).astype(np.float32)
    filled = np.zeros((9, 7), bool)
    filled[2, 3] = filled[7, 1] = True
    spread = dilate(texture, filled)
    assert np.array_equal(spread[0, 6], texture[2, 3]) and np.array_equal(spread[8, 0], texture[7, 1])
    assert np.array_equal(spread[filled], texture[filled])
    assert nearest_filled(filled)[2 * 7 + 3] == 2 * 7 + 3
    assert np.array_equal(dilate(texture, np.zeros((9, 7), bool)), texture)


def test_degenerate_triangles_are_harmless_and_missing_coordinates_are_named():
    mesh = flat_grid(1)
    mesh = Mesh(mesh.vertices, np.array([[0, 0, 0], [0, 1, 3]], np.int32), mesh.uvs, np.array([[0, 0, 0], [0, 1, 3]]))
    texels = surface_texels(mesh, (16, 16))
    assert np.isfinite(texels.positions).all() and np.isfinite(texels.normals).all()
    with pytest.raises(GeometryError, match="unwrap it first"):
        surface_texels(Mesh(mesh.vertices, mesh.triangles), (16, 16))
