"""Loop's limit surface: box splines on regular cages, masks known by hand elsewhere, cubic boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from engine.errors import GeometryError
from engine.geometry.subdivision import loop_surface, read_controls, subdivided_corners
from engine.scene import Mesh

OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
OCTANTS = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
SIDES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def _lattice(size: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """A parallelogram of equilateral triangles: ((column, row) [V,2], triangles [F,3])."""
    rows, columns = np.mgrid[:size, :size]
    at = np.arange(size * size).reshape(size, size)
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel()
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return np.stack([columns.ravel(), rows.ravel()], 1), triangles


def _box_spline(weight: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """The twelve basis functions of a regular patch by lattice offset from its corner u; v is at (1,0), w at (0,1).

    Stam 1998, "Evaluation of Loop Subdivision Surfaces", appendix A.
    """
    u, v, w = weight

    def far(a, b):
        return a**4 + 2 * a**3 * b

    def across(a, b, c):
        mixed = 6 * a**3 * b + 6 * a**2 * b * c + 12 * a**2 * b**2 + 6 * a * b**2 * c + 6 * a * b**3
        return a**4 + 2 * a**3 * c + mixed + 2 * b**3 * c + b**4

    def corner(a, b, c):
        pure = 6 * a**4 + 24 * a**3 * c + 24 * a**2 * c**2 + 8 * a * c**3 + c**4
        mixed = 24 * a**3 * b + 60 * a**2 * b * c + 36 * a * b * c**2 + 6 * b * c**3
        return (
            pure + mixed + 24 * a**2 * b**2 + 36 * a * b**2 * c + 12 * b**2 * c**2 + 8 * a * b**3 + 6 * b**3 * c + b**4
        )

    basis = {(0, 0): corner(u, v, w), (1, 0): corner(v, w, u), (0, 1): corner(w, u, v)}
    basis |= {(1, -1): across(u, v, w), (1, 1): across(v, w, u), (-1, 1): across(w, u, v)}
    basis |= {(0, -1): far(u, v), (-1, 0): far(u, w), (2, -1): far(v, u), (2, 0): far(v, w)}
    basis |= {(-1, 2): far(w, u), (0, 2): far(w, v)}
    return {offset: value / 12 for offset, value in basis.items()}


def test_a_regular_patch_is_the_quartic_box_spline():
    place, triangles = _lattice()
    control = np.random.default_rng(1).normal(size=(len(place), 3))
    surface = loop_surface(triangles, len(place), 3)
    face = 3 * 6 + 3  # of the lower triangles, three rows and columns from every boundary
    _, weights = subdivided_corners(np.array([[0, 1, 2]]), np.eye(3), 3)
    corners, _ = subdivided_corners(np.array([[0, 1, 2]]), np.eye(3), 3)
    points = surface.positions(control)[surface.triangles[64 * face : 64 * face + 64]]
    column, row = place[triangles[face, 0]]
    expected = sum(
        value[:, None] * control[(row + dy) * 7 + column + dx]
        for (dx, dy), value in _box_spline(weights[corners].reshape(-1, 3).T).items()
    )
    np.testing.assert_allclose(points.reshape(-1, 3), expected, rtol=0, atol=1e-12)


def test_stencils_are_affine_and_convex():
    mesh = trimesh.creation.annulus(0.5, 1.0, 0.4, sections=9).subdivide()
    surface = loop_surface(mesh.faces, len(mesh.vertices), 2)
    matrix, turn = surface.matrix().toarray(), np.random.default_rng(2).normal(size=(3, 3))
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-12)
    assert matrix.min() >= -1e-15
    for tangent in (1, 2):
        np.testing.assert_allclose(surface.matrix(tangent) @ np.ones(len(mesh.vertices)), 0, atol=1e-12)
    vertices = mesh.vertices.view(np.ndarray)
    moved = surface.positions(vertices @ turn + 5.0)
    np.testing.assert_allclose(moved, surface.positions(vertices) @ turn + 5.0, atol=1e-12)


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_limits_of_a_tetrahedron_and_an_octahedron_are_those_of_the_masks(levels):
    tetrahedron = loop_surface(SIDES, 4, levels)
    np.testing.assert_allclose(tetrahedron.positions(TETRAHEDRON)[:4], TETRAHEDRON / 5, atol=1e-12)  # valence 3
    octahedron = loop_surface(OCTANTS, 6, levels)
    share = 1 / (0.375 / ((0.625 - 0.375**2) / 4) + 4)  # valence 4
    np.testing.assert_allclose(octahedron.positions(OCTAHEDRON)[:6], OCTAHEDRON * (1 - 4 * share), atol=1e-12)
    normals = octahedron.normals(OCTAHEDRON)
    np.testing.assert_allclose(normals[:6], OCTAHEDRON, atol=1e-12)
    assert (normals * octahedron.positions(OCTAHEDRON)).sum(1).min() > 0


def test_a_boundary_is_a_cubic_b_spline_whatever_lies_inside():
    place, triangles = _lattice(5)
    control = np.random.default_rng(3).normal(size=(25, 3))
    surface = loop_surface(triangles, 25, 2)
    a, b, c, d = control[:4]
    t = np.arange(5)[:, None] / 4
    basis = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
    curve = sum(value * point for value, point in zip(basis, (a, b, c, d), strict=True)) / 6
    points = surface.positions(control)
    face = next(f for f, corners in enumerate(triangles.tolist()) if {1, 2} < set(corners))
    seen = points[surface.triangles[16 * face : 16 * face + 16].reshape(-1)]
    distance = np.linalg.norm(curve[:, None] - seen[None], axis=2).min(1)
    np.testing.assert_allclose(distance, 0, atol=1e-12)
    control[5:] += 7
    changed = surface.positions(control)[surface.triangles[16 * face : 16 * face + 16].reshape(-1)]
    np.testing.assert_allclose(np.linalg.norm(curve[:, None] - changed[None], axis=2).min(1), 0, atol=1e-12)


def test_limit_normals_are_what_normals_of_ever_finer_meshes_tend_to():
    """Also at vertices of every valence from 3 on and at boundaries with one, two and more triangles."""
    ball = trimesh.creation.uv_sphere(count=[5, 7])
    x, y = np.mgrid[:5, :5].reshape(2, -1)
    place, triangles = _lattice(5)
    sheet = np.column_stack([place, 0.2 * np.sin(place[:, 0]) * place[:, 1]]).astype(float)
    for vertices, faces in ((ball.vertices.view(np.ndarray), ball.faces), (sheet, triangles)):
        coarse = loop_surface(faces, len(vertices), 1)
        fine = loop_surface(faces, len(vertices), 4)
        approached = Mesh(fine.positions(vertices), fine.triangles).vertex_normals()[: coarse.vertex_count]
        assert (coarse.normals(vertices) * approached).sum(1).min() > 0.99


def test_the_transposed_stencil_is_the_gradient():
    generator = np.random.default_rng(4)
    surface = loop_surface(OCTANTS, 6, 2)
    weight, move = generator.normal(size=(surface.vertex_count, 3)), generator.normal(size=(6, 3))

    def loss(control):
        return (weight * surface.positions(control) ** 2).sum()

    slope = surface.gradient(2 * weight * surface.positions(OCTAHEDRON))
    step = 1e-5
    difference = (loss(OCTAHEDRON + step * move) - loss(OCTAHEDRON - step * move)) / (2 * step)
    np.testing.assert_allclose((slope * move).sum(), difference, rtol=1e-8)


@pytest.mark.parametrize("smooth", [False, True])
def test_what_a_triangle_shows_depends_on_the_controls_listed_for_it_and_no_others(smooth):
    mesh = trimesh.creation.icosphere(1)
    vertices = mesh.vertices.view(np.ndarray).astype(float)
    surface = loop_surface(mesh.faces, len(vertices), 1)
    start, control = read_controls(surface, smooth)

    def shown(cage):
        points = surface.positions(cage)
        values = [points] if not smooth else [points, Mesh(points, surface.triangles).vertex_normals()]
        return np.concatenate([value[surface.triangles].reshape(len(surface.triangles), -1) for value in values], 1)

    before = shown(vertices)
    for moved in range(0, len(vertices), 5):
        cage = vertices.copy()
        cage[moved] += (0.11, 0.07, -0.05)
        changed = np.abs(shown(cage) - before).max(1) > 1e-6
        listed = np.array([moved in control[start[f] : start[f + 1]] for f in range(len(start) - 1)])
        assert not (changed & ~listed).any()
        assert changed.sum() > 0.95 * listed.sum()
    assert all(np.all(np.diff(control[a:b]) > 0) for a, b in zip(start, start[1:], strict=False))


def test_a_fitted_cage_has_its_limit_where_the_mesh_was():
    mesh = trimesh.creation.icosphere(2)
    points = mesh.vertices.view(np.ndarray)
    surface = loop_surface(mesh.faces, len(points), 1)
    np.testing.assert_allclose(surface.positions(surface.fitted(points))[: len(points)], points, atol=1e-4)


def test_cages_that_have_no_limit_surface_are_refused_in_words():
    with pytest.raises(GeometryError, match="3 triangles of the cage share the edge 0-1"):
        loop_surface(np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]]), 5, 1)
    with pytest.raises(GeometryError, match="against each other"):
        loop_surface(np.array([[0, 1, 2], [0, 1, 3]]), 4, 1)
    with pytest.raises(GeometryError, match="touch in vertex 0"):
        loop_surface(np.array([[0, 1, 2], [0, 3, 4]]), 5, 1)
    with pytest.raises(GeometryError, match="without triangles"):
        loop_surface(np.empty((0, 3), int), 0, 1)
    with pytest.raises(GeometryError, match="7 times"):
        loop_surface(SIDES, 4, 7)
