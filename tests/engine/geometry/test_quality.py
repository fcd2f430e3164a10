"""Mesh quality counts what was put in on purpose, and nothing on a clean surface."""

from __future__ import annotations

import json

import numpy as np
import trimesh

from engine.geometry.quality import mesh_quality
from engine.geometry.self_intersection import self_intersecting
from engine.scene.mesh import Mesh


def sphere(subdivisions=2, centre=(0, 0, 0)) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions)
    return Mesh((np.asarray(shape.vertices) + centre).astype(np.float32), np.asarray(shape.faces, np.int32))


def together(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    triangles = [mesh.triangles + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(triangles).astype(np.int32))


def test_a_sphere_has_no_faults():
    quality = mesh_quality(sphere())
    assert quality.pop("faces") == 320 and quality.pop("vertices") == 162
    assert quality.pop("components") == 1 and quality.pop("self_intersection_samples") == 320
    assert not any(quality.values())
    json.dumps(mesh_quality(sphere()))


def test_holes_flips_fins_and_slivers_are_counted():
    mesh = sphere()
    assert mesh_quality(Mesh(mesh.vertices, mesh.triangles[1:]))["boundary_edges"] == 3
    flipped = mesh.triangles.copy()
    flipped[5] = flipped[5][::-1]
    assert mesh_quality(Mesh(mesh.vertices, flipped))["flipped_edges"] == 3
    a, b, _ = mesh.triangles[0]
    fin = Mesh(
        np.concatenate([mesh.vertices, [[2, 2, 2]]]).astype(np.float32), np.concatenate([mesh.triangles, [[a, b, 162]]])
    )
    assert mesh_quality(fin)["non_manifold_edges"] == 1
    sliver = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.01, 0]], np.float32), np.array([[0, 1, 2]], np.int32))
    assert mesh_quality(sliver)["thin_triangles"] == 1


def test_crossing_spheres_intersect_and_separate_ones_do_not():
    crossing = mesh_quality(together(sphere(), sphere(centre=(0.7, 0.1, 0.2))))
    assert crossing["components"] == 2 and crossing["self_intersections_sampled"] > 20
    apart = mesh_quality(together(sphere(), sphere(centre=(2.5, 0, 0))))
    assert apart["self_intersections_sampled"] == 0


def test_intersections_agree_with_testing_every_pair():
    random = np.random.default_rng(0)
    corners = random.uniform(size=(120, 1, 3)) + random.normal(size=(120, 3, 3)) * 0.15
    triangles = np.arange(360, dtype=np.int32).reshape(-1, 3)
    vertices = corners.reshape(-1, 3).astype(np.float32)
    points = vertices.astype(np.float64)[triangles]

    def pierced(segment, triangle):
        matrix = np.stack([triangle[1] - triangle[0], triangle[2] - triangle[0], segment[0] - segment[1]], 1)
        u, v, t = np.linalg.solve(matrix, segment[0] - triangle[0])
        return u > 0 and v > 0 and u + v < 1 and 0 < t < 1

    expected = np.zeros(120, bool)
    for i in range(120):
        for j in range(i):
            sides = [(points[i, [k, k - 1]], points[j]) for k in range(3)]
            sides += [(points[j, [k, k - 1]], points[i]) for k in range(3)]
            if any(pierced(*side) for side in sides):
                expected[[i, j]] = True
    assert 20 < expected.sum() < 115
    assert np.array_equal(self_intersecting(vertices, triangles, np.arange(120)), expected)


def test_faces_folded_through_a_shared_vertex_intersect():
    vertices = np.array([[0, 0, 0], [2, -1, 0], [2, 1, 0], [2, 0, -1], [2, 0, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 3, 4]], np.int32)
    shortened = vertices.copy()
    shortened[3:] *= 0.5  # its far side passes through the first face
    assert self_intersecting(shortened, triangles, np.arange(2)).all()


def test_an_empty_mesh_has_no_faults():
    quality = mesh_quality(Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)))
    assert not any(quality.values())
