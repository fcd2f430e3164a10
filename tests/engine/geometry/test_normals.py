"""Vertex normals of a bumpy sphere: the kernel against plain torch, and plain torch against finite differences."""

import torch
import trimesh

from engine.geometry.normals import vertex_normals, vertex_normals_reference


def bumpy_sphere(dtype):
    sphere = trimesh.creation.icosphere(2)
    vertices = torch.tensor(sphere.vertices, dtype=dtype)
    vertices = vertices * (1 + 0.1 * torch.sin(5 * vertices[:, :1]))
    return vertices, torch.tensor(sphere.faces, dtype=torch.int32)


def test_kernel_matches_reference_in_values_and_gradients():
    vertices, triangles = bumpy_sphere(torch.float32)
    weight = torch.randn(vertices.shape, generator=torch.Generator().manual_seed(1))
    results = []
    for function in (vertex_normals, vertex_normals_reference):
        leaf = vertices.clone().requires_grad_()
        normal = function(leaf, triangles)
        (normal * weight).sum().backward()
        results.append((normal.detach(), leaf.grad))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-3, rtol=1e-3)


def test_reference_matches_finite_differences():
    vertices, triangles = bumpy_sphere(torch.float64)
    torch.autograd.gradcheck(
        lambda v: vertex_normals_reference(torch.cat([v, vertices[8:]]), triangles),
        vertices[:8].clone().requires_grad_(),
    )


def test_a_vertex_without_area_gets_a_finite_normal_and_no_gradient():
    vertices = torch.zeros(3, 3, requires_grad=True)
    normal = vertex_normals(vertices, torch.tensor([[0, 1, 2]], dtype=torch.int32))
    normal.sum().backward()
    assert normal.tolist() == [[0, 0, 1]] * 3 and vertices.grad.abs().max() == 0
