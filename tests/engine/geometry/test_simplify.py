"""Simplification keeps the budget, the shape and the topology; cleaning mends what collapses leave behind."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from engine.errors import GeometryError
from engine.geometry.simplify import cleaned, remove_small_components, simplify
from engine.geometry.topology import Topology, clean_faces, components, split_non_manifold
from engine.scene.mesh import Mesh


def sphere(subdivisions=4, noise=0.0, seed=0) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions)
    vertices = np.asarray(shape.vertices)
    vertices = vertices * (1 + noise * np.random.default_rng(seed).normal(size=(len(vertices), 1)))
    return Mesh(vertices.astype(np.float32), np.asarray(shape.faces, np.int32))


TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)


def test_budget_is_kept_and_the_sphere_stays_round_and_closed():
    coarse = simplify(sphere(), 800)
    assert 790 <= len(coarse.triangles) <= 800
    assert Topology.of(coarse.triangles) == Topology(0, 0, 0, 0)
    assert np.abs(np.linalg.norm(coarse.vertices, axis=1) - 1).max() < 0.01
    assert coarse.vertices.dtype == np.float32 and coarse.triangles.dtype == np.int32


@pytest.mark.parametrize("budget", [500, 2000, 9000])
def test_rough_surfaces_stay_closed_and_manifold(budget):
    rough = sphere(5, noise=0.02)
    coarse = simplify(rough, budget)
    topology = Topology.of(coarse.triangles)
    assert topology.watertight and topology.manifold
    assert budget - 10 <= len(coarse.triangles) <= budget


def test_edges_stay_sharp_and_flat_sides_flat_and_even():
    box = trimesh.creation.box((2, 2, 2)).subdivide_loop(0)
    for _ in range(5):
        box = box.subdivide()
    coarse = simplify(Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32)), 300)
    assert abs(trimesh.Trimesh(coarse.vertices, coarse.triangles).volume - 8) < 1e-2
    assert np.abs(np.abs(coarse.vertices).max(1) - 1).max() < 5e-3
    sides = np.linalg.norm(coarse.vertices[coarse.triangles] - coarse.vertices[np.roll(coarse.triangles, 1, 1)], axis=2)
    assert (sides.max(1) / sides.min(1)).mean() < 3


def test_open_borders_stay_where_they_are():
    line = np.linspace(0, 1, 41)
    x, y = np.meshgrid(line, line, indexing="ij")
    vertices = np.stack([x, y, 0.1 * np.sin(5 * x)], -1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(40)[:, None] * 41 + np.arange(40)).reshape(-1)
    triangles = np.concatenate([corner[:, None] + [0, 41, 1], corner[:, None] + [1, 41, 42]]).astype(np.int32)
    coarse = simplify(Mesh(vertices, triangles), 200)
    assert 190 <= len(coarse.triangles) <= 200
    assert Topology.of(coarse.triangles).manifold and Topology.of(coarse.triangles).boundary_edges > 0
    assert coarse.box[0][:2] == pytest.approx(0, abs=2e-3) and coarse.box[1][:2] == pytest.approx(1, abs=2e-3)
    shape = trimesh.Trimesh(coarse.vertices, coarse.triangles)
    assert shape.area == pytest.approx(trimesh.Trimesh(vertices, triangles).area, rel=0.01)


def test_what_cannot_be_made_smaller_is_said():
    told = []
    mesh = sphere(0)
    tetrahedra = Mesh(
        np.concatenate([np.eye(4, 3) + 3 * k for k in range(5)]).astype(np.float32),
        np.concatenate([TETRAHEDRON[:, ::-1] + 4 * k for k in range(5)]).astype(np.int32),
    )
    assert len(simplify(tetrahedra, 8, told.append).triangles) == 20
    assert len(told) == 1 and "20 faces instead of 8" in told[0]
    assert len(simplify(mesh, 4, told.append).triangles) >= 4


def test_scale_and_position_do_not_matter():
    mesh = sphere(3, noise=0.01)
    moved = Mesh(mesh.vertices * 64 + np.float32(128), mesh.triangles)
    assert len(simplify(moved, 300).triangles) == len(simplify(mesh, 300).triangles)


def test_a_mesh_within_budget_is_only_cleaned():
    mesh = sphere(1)
    assert len(simplify(mesh, 100000).triangles) == len(mesh.triangles)


def test_impossible_requests_are_named():
    with pytest.raises(GeometryError, match="4 faces"):
        simplify(sphere(1), 2)
    with pytest.raises(GeometryError, match="degenerate"):
        cleaned(Mesh(np.zeros((3, 3), np.float32), np.zeros((2, 3), np.int32)))


def test_degenerate_copied_and_back_to_back_faces_go():
    extra = np.array([[1, 1, 2], [0, 2, 1], [2, 1, 0], [5, 6, 7], [6, 5, 7], [1, 3, 0]], np.int32)
    keep = clean_faces(np.concatenate([TETRAHEDRON, extra]))
    kept = np.concatenate([TETRAHEDRON, extra])[keep]
    assert sorted(map(tuple, np.sort(kept, 1).tolist())) == [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
    assert Topology.of(kept).watertight


def test_solids_that_touch_in_an_edge_or_vertex_come_apart():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-0.2, -1, 0], [0, 0, -1]], float)
    by_edge = np.array([0, 4, 3, 5])[[0, 1, 2, 3]]  # shares the edge 0-3 with the first
    second = by_edge[TETRAHEDRON]
    corners = vertices[second]
    if np.einsum("i,i", np.cross(corners[0, 1] - corners[0, 0], corners[0, 2] - corners[0, 0]), vertices[5]) > 0:
        second = second[:, ::-1]
    joined = np.concatenate([TETRAHEDRON, second]).astype(np.int32)
    assert Topology.of(joined).non_manifold_edges == 1
    parted_vertices, parted = split_non_manifold(vertices, joined)
    assert Topology.of(parted) == Topology(0, 0, 0, 0)
    assert components(parted, len(parted_vertices)).tolist() == [0] * 4 + [1] * 4
    assert np.array_equal(parted_vertices[parted], vertices[joined])

    by_vertex = np.concatenate([TETRAHEDRON, TETRAHEDRON + 3]).astype(np.int32)
    assert Topology.of(by_vertex).non_manifold_vertices == 1
    _, parted = split_non_manifold(np.random.default_rng(0).normal(size=(7, 3)), by_vertex)
    assert Topology.of(parted).manifold and parted.max() == 7


def test_small_components_go_and_texture_coordinates_stay_with_their_faces():
    large, small = sphere(2), sphere(1)
    vertices = np.concatenate([small.vertices * 0.01 + 3, large.vertices])
    triangles = np.concatenate([small.triangles, large.triangles + len(small.vertices)]).astype(np.int32)
    uvs = np.random.default_rng(0).random((len(triangles) * 3, 2)).astype(np.float32)
    mesh = Mesh(vertices, triangles, uvs, np.arange(len(uvs), dtype=np.int32).reshape(-1, 3))
    kept = remove_small_components(mesh, 0.01)
    assert np.array_equal(kept.vertices, large.vertices) and np.array_equal(kept.triangles, large.triangles)
    assert np.array_equal(kept.uvs[kept.uv_triangles], uvs[mesh.uv_triangles[len(small.triangles) :]])
    assert remove_small_components(kept, 0.5) is kept
