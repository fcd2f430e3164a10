"""Rays against a naive intersection of each ray with each triangle (Moeller and Trumbore 1997) in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from engine.errors import GeometryError
from engine.raster.rays import RayCaster


def naive_hits(vertices, triangles, origins, directions):
    """(distance [N], triangle [N], barycentrics [N,2]) of the nearest hit; distance inf where there is none."""
    a, b, c = (vertices[triangles[:, i]].astype(float) for i in range(3))
    p = np.cross(directions[:, None], (c - a)[None])
    determinant = (p * (b - a)).sum(-1)
    s = origins[:, None] - a
    u = (s * p).sum(-1) / determinant
    q = np.cross(s, (b - a)[None])
    v = (directions[:, None] * q).sum(-1) / determinant
    t = ((c - a) * q).sum(-1) / determinant
    t = np.where((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0), t, np.inf)
    nearest = t.argmin(1)
    rows = np.arange(len(t))
    u, v = u[rows, nearest], v[rows, nearest]
    return t[rows, nearest], nearest, np.stack([1 - u - v, u], -1)


@pytest.fixture(scope="module")
def scene():
    mesh = trimesh.creation.torus(1.0, 0.4, major_sections=16, minor_sections=10)
    rng = np.random.default_rng(7)
    origins = rng.normal(size=(600, 3)) * 1.5
    directions = rng.normal(size=(600, 3)) - 0.6 * origins
    return mesh.vertices, mesh.faces, origins, directions


def test_first_hits_are_those_of_the_naive_intersection(scene):
    vertices, triangles, origins, directions = scene
    triangle, distance, barycentrics = RayCaster(vertices, triangles).first_hit(origins, directions)
    expected, nearest, weights = naive_hits(*scene)
    hit = np.isfinite(expected)
    assert 100 < hit.sum() < 500
    assert np.array_equal(triangle >= 0, hit) and np.array_equal(triangle[hit], nearest[hit])
    assert np.allclose(distance[hit], expected[hit], rtol=1e-4) and np.isinf(distance[~hit]).all()
    assert np.allclose(barycentrics[hit], weights[hit], atol=1e-3) and not barycentrics[~hit].any()


def test_barycentrics_weigh_vertex_0_and_1(scene):
    vertices, triangles, origins, directions = scene
    triangle, distance, uv = RayCaster(vertices, triangles).first_hit(origins, directions)
    hit = triangle >= 0
    weights = np.column_stack([uv, 1 - uv.sum(1)])[hit]
    point = (vertices[triangles[triangle[hit]]] * weights[..., None]).sum(1)
    assert np.allclose(point, origins[hit] + distance[hit, None] * directions[hit], atol=1e-4)


def test_occluded_means_a_hit_exists(scene):
    vertices, triangles, origins, directions = scene
    caster = RayCaster(vertices, triangles)
    assert np.array_equal(caster.occluded(origins, directions), caster.first_hit(origins, directions)[0] >= 0)


def test_a_mesh_that_no_ray_can_hit_is_refused():
    with pytest.raises(GeometryError, match="no triangles"):
        RayCaster(np.zeros((3, 3)), np.zeros((0, 3), int))
    with pytest.raises(GeometryError, match="names a vertex"):
        RayCaster(np.zeros((3, 3)), [[0, 1, 3]])
    with pytest.raises(GeometryError, match="not finite"):
        RayCaster(np.full((3, 3), np.nan), [[0, 1, 2]])
