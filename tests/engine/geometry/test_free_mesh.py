"""FreeMesh: starts at the mesh that was given, fits a target, and comes back from a checkpoint bit for bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import trimesh

from engine.errors import GeometryError
from engine.geometry.free_mesh import FreeMesh, UniformAdam

SPHERE = trimesh.creation.icosphere(2)


def _step(mesh: FreeMesh, optimizer: UniformAdam) -> float:
    optimizer.zero_grad()
    target = torch.from_numpy(np.asarray(SPHERE.vertices * [1.5, 0.8, 1.0], np.float32))
    loss = (mesh.vertices() - target).square().sum(1).mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def test_starts_at_the_given_mesh():
    mesh = FreeMesh(SPHERE.vertices, SPHERE.faces)
    torch.testing.assert_close(mesh.vertices().detach().double(), torch.from_numpy(np.array(SPHERE.vertices)), rtol=0,
                               atol=2e-6)  # fmt: skip
    assert mesh.triangles.dtype == torch.int32


def test_fits_a_target():
    mesh = FreeMesh(SPHERE.vertices, SPHERE.faces)
    optimizer = UniformAdam(mesh.parameters(), lr=0.1)
    losses = [_step(mesh, optimizer) for _ in range(150)]
    assert losses[-1] < 1e-3 * losses[0]


def test_a_noisy_gradient_moves_the_surface_smoothly():
    """The promise of large steps: one vertex pulled takes its neighbours along."""
    mesh = FreeMesh(SPHERE.vertices, SPHERE.faces)
    optimizer = UniformAdam(mesh.parameters(), lr=1.0)
    before = mesh.vertices().detach()
    mesh.vertices()[0, 2].backward()
    optimizer.step()
    moved = (mesh.vertices().detach() - before)[:, 2].abs()
    neighbours = torch.from_numpy(np.array(SPHERE.vertex_neighbors[0]))
    assert (moved[neighbours] > 0.3 * moved[0]).all()


def test_resume_gives_the_same_bits_even_after_the_mesh_has_moved():
    mesh = FreeMesh(SPHERE.vertices, SPHERE.faces)
    optimizer = UniformAdam(mesh.parameters(), lr=0.1)
    for _ in range(5):
        _step(mesh, optimizer)
    rotated = mesh.vertices().detach().numpy()[:, [1, 2, 0]]
    resumed = FreeMesh(rotated, SPHERE.faces, smoothness=3.0)
    resumed.load_state_dict(copy.deepcopy(mesh.state_dict()))
    again = UniformAdam(resumed.parameters(), lr=0.1)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(5):
        _step(mesh, optimizer)
        _step(resumed, again)
    assert torch.equal(mesh.parameter, resumed.parameter)
    assert torch.equal(mesh.vertices(), resumed.vertices())


@pytest.mark.parametrize(
    ("vertices", "triangles", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), int), "without triangles"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), "outside 0..2"),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "not finite"),
    ],
)
def test_unusable_meshes_are_clear_errors(vertices, triangles, message):
    with pytest.raises(GeometryError, match=message):
        FreeMesh(vertices, triangles)
