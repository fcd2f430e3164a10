"""Tangents are MikkTSpace's: equal to Blender's on a mesh with seams, mirrored and sheared charts."""

from pathlib import Path

import numpy as np
import pytest

from engine.exchange.tangents import TangentSpace, tangent_attributes
from engine.scene import Mesh

REFERENCE = Path(__file__).resolve().parents[2] / "data" / "tangents_blender.npz"


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as data:
        return dict(data)


def _mesh(data) -> Mesh:
    return Mesh(data["vertices"], data["triangles"], data["uvs"], data["uv_triangles"])


def _degrees(a, b):
    """Angle between unit vectors, accurate for small ones."""
    a, b = a.astype(float), b.astype(float)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def test_tangents_equal_blenders(reference):
    tangents, index = tangent_attributes(_mesh(reference), reference["normals"])
    ours, blender = tangents[index], reference["tangents"]
    assert np.array_equal(ours[..., 3], blender[..., 3])
    assert {-1.0, 1.0} == set(np.unique(ours[..., 3]))  # the mirrored chart is there
    angle = _degrees(ours[..., :3], blender[..., :3])
    assert angle.max() < 0.02, f"largest angle {angle.max():.4f} degrees"


def test_tangents_survive_splitting_the_vertices_as_files_do(reference):
    mesh = _mesh(reference)
    corners = np.arange(mesh.triangles.size, dtype=np.int32).reshape(-1, 3)
    split = Mesh(mesh.vertices[mesh.triangles.ravel()], corners, mesh.uvs[mesh.uv_triangles.ravel()], corners)
    whole, whole_index = tangent_attributes(mesh, reference["normals"])
    parts, parts_index = tangent_attributes(split, reference["normals"][mesh.triangles.ravel()])
    assert len(whole) == len(parts)
    np.testing.assert_allclose(parts[parts_index], whole[whole_index], atol=1e-6)


def test_a_plane_has_tangent_along_u_and_bitangent_up_in_the_image():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    uvs = np.float32([[0, 1], [1, 1], [1, 0], [0, 0]])  # the image stands upright on the plane
    triangles = np.int32([[0, 1, 2], [0, 2, 3]])
    tangents, index = tangent_attributes(Mesh(vertices, triangles, uvs, triangles))
    np.testing.assert_allclose(tangents[index], np.broadcast_to([1.0, 0, 0, 1], (2, 3, 4)), atol=1e-6)
    normal = np.array([0, 0, 1.0])
    np.testing.assert_allclose(np.cross(normal, tangents[0, :3]) * tangents[0, 3], [0, 1, 0], atol=1e-6)


def test_triangles_without_texture_area_get_unit_tangents_at_right_angles():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 2, 0], [2, 2, 0]])
    uvs = np.float32([[0.5, 0.5]])
    triangles = np.int32([[0, 1, 2], [0, 2, 3], [0, 4, 5]])
    mesh = Mesh(vertices, triangles, uvs, np.zeros_like(triangles))
    normals = mesh.vertex_normals()
    tangents, index = tangent_attributes(mesh, normals)
    np.testing.assert_allclose(np.linalg.norm(tangents[:, :3], axis=1), 1, atol=1e-6)
    assert np.abs((tangents[index][..., :3] * normals[triangles]).sum(-1)).max() < 1e-6
    assert set(np.unique(tangents[:, 3])) <= {-1.0, 1.0}


def test_the_fans_of_a_moving_mesh_are_found_once(reference):
    mesh = _mesh(reference)
    space = TangentSpace(mesh.triangles, mesh.uvs, mesh.uv_triangles)
    np.testing.assert_allclose(
        space.tangents(mesh.vertices, reference["normals"])[space.triangles],
        np.stack(tangent_attributes(mesh, reference["normals"])[0])[tangent_attributes(mesh, reference["normals"])[1]],
        atol=1e-6,
    )
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    turned = space.tangents(mesh.vertices @ turn.T, reference["normals"] @ turn.T)
    before = space.tangents(mesh.vertices, reference["normals"])
    np.testing.assert_allclose(turned[:, :3], before[:, :3] @ turn.T, atol=1e-5)
