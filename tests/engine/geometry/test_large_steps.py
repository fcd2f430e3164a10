"""Large steps: the factored solve against dense algebra, its gradient, and UniformAdam's one second moment."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import trimesh

from engine.geometry.large_steps import LargeSteps, UniformAdam, unique_edges

MESHES = {
    "sphere": trimesh.creation.icosphere(2),
    "box": trimesh.creation.box(),
    "ring": trimesh.creation.annulus(0.5, 1.0, 0.3),
}


def _system(mesh, smoothness=19.0) -> LargeSteps:
    order = LargeSteps.elimination_order(mesh.vertices, mesh.faces)
    return LargeSteps(mesh.faces, len(mesh.vertices), smoothness, order)


def _dense(mesh, smoothness=19.0) -> np.ndarray:
    matrix = np.eye(len(mesh.vertices))
    for a, b in {tuple(sorted(e)) for e in mesh.edges.tolist()}:
        matrix[[a, b], [a, b]] += smoothness
        matrix[[a, b], [b, a]] -= smoothness
    return matrix


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("smoothness", [0.0, 1.0, 50.0])
def test_solve_and_parameter_agree_with_dense_algebra(name, smoothness):
    mesh = MESHES[name]
    system, dense = _system(mesh, smoothness), _dense(mesh, smoothness)
    right = np.random.default_rng(0).normal(size=mesh.vertices.shape).astype(np.float32)
    np.testing.assert_allclose(system.solve(right), np.linalg.solve(dense, right), rtol=0, atol=1e-6)
    np.testing.assert_allclose(system.parameter(mesh.vertices), dense @ mesh.vertices, rtol=1e-5, atol=1e-5)


def test_elimination_order_is_a_permutation_even_of_coincident_and_loose_vertices():
    triangles = np.array([[0, 1, 2], [1, 2, 3], [3, 3, 1]])
    vertices = np.zeros((200, 3))
    order = LargeSteps.elimination_order(vertices, triangles)
    assert np.array_equal(np.sort(order), np.arange(200))
    right = np.random.default_rng(0).normal(size=vertices.shape).astype(np.float32)
    solved = LargeSteps(triangles, 200, 5.0, order).solve(right)
    np.testing.assert_array_equal(solved[4:], right[4:])  # loose vertices are left alone


def test_edges_are_listed_once():
    edges = unique_edges(np.array([[0, 1, 2], [2, 1, 3], [3, 3, 1]]), 4)
    assert edges.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]


def test_gradient_is_the_transposed_solve():
    mesh = MESHES["sphere"]
    system, dense = _system(mesh), _dense(mesh)
    parameter = torch.randn(len(mesh.vertices), 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    (system.vertices(parameter) * weight).sum().backward()
    np.testing.assert_allclose(parameter.grad.numpy(), np.linalg.solve(dense.T, weight.numpy()), rtol=0, atol=1e-6)


def test_uniform_adam_follows_the_direction_of_the_gradient():
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = UniformAdam([parameter], lr=0.1)
    parameter.grad = torch.tensor([1.0, 0.5, -0.1])
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([-0.1, -0.05, 0.01]))


def test_uniform_adam_stands_still_without_gradient():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = UniformAdam([parameter])
    parameter.grad = torch.zeros(3)
    optimizer.step()
    assert torch.equal(parameter.detach(), torch.ones(3))


def test_uniform_adam_resumes_with_the_same_bits():
    gradients = torch.randn(8, 5, 3, generator=torch.Generator().manual_seed(0))

    def run(parameter, optimizer, steps):
        for gradient in steps:
            parameter.grad = gradient.clone()
            optimizer.step()

    first = torch.nn.Parameter(torch.zeros(5, 3))
    optimizer = UniformAdam([first])
    run(first, optimizer, gradients[:4])
    second = torch.nn.Parameter(first.detach().clone())
    again = UniformAdam([second])
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(first, optimizer, gradients[4:])
    run(second, again, gradients[4:])
    assert torch.equal(first, second)
