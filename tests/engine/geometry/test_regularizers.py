"""Mesh regularizers: known values, the kernels against the references, the references against finite differences."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh

from engine.geometry.regularizers import (
    laplacian_smoothness,
    laplacian_smoothness_reference,
    normal_consistency,
    normal_consistency_reference,
)


def _table(triangles: np.ndarray) -> SimpleNamespace:
    """Edges with their (at most two) triangles, by a plain loop."""
    wings: dict[tuple[int, int], list[int]] = {}
    for f, triangle in enumerate(triangles.tolist()):
        for a, b in zip(triangle, triangle[1:] + triangle[:1], strict=True):
            wings.setdefault((min(a, b), max(a, b)), []).append(f)
    keys = sorted(wings)
    pairs = [(wings[k] + [-1])[:2] for k in keys]
    return SimpleNamespace(edges=torch.tensor(keys, dtype=torch.int32), wings=torch.tensor(pairs, dtype=torch.int32))


def _scene(mesh: trimesh.Trimesh, dtype=torch.float32, noise=0.05):
    vertices = torch.tensor(np.array(mesh.vertices), dtype=dtype)
    vertices += noise * torch.randn(vertices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    triangles = torch.tensor(np.array(mesh.faces), dtype=torch.int32)
    return vertices.requires_grad_(), triangles, _table(mesh.faces)


OPEN = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.0], [5, 5, 5]], [[0, 1, 2], [1, 3, 2]], process=False)
MESHES = {"sphere": trimesh.creation.icosphere(2), "box": trimesh.creation.box(), "open": OPEN}


def test_a_flat_sheet_is_consistent_and_a_folded_one_is_not():
    vertices, triangles, edges = _scene(OPEN, noise=0)
    assert float(normal_consistency(vertices, triangles, edges).detach()) == pytest.approx(0, abs=1e-6)
    folded = vertices.detach().clone()
    folded[3] = torch.tensor([0.5, 0.5, 2**-0.5])
    assert float(normal_consistency(folded, triangles, edges)) == pytest.approx(1, abs=1e-6)


def test_box_has_right_angles_and_flat_diagonals():
    vertices, triangles, edges = _scene(trimesh.creation.box(), noise=0)
    assert float(normal_consistency(vertices, triangles, edges).detach()) == pytest.approx(12 / 18)


def test_laplacian_of_a_spike_is_its_height():
    """A pyramid's apex above its four neighbours, which lie at the corners of the unit square."""
    triangles = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    vertices = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0.3]])
    flat = vertices.clone()
    flat[4, 2] = 0
    edges = _table(triangles)
    rise = float(laplacian_smoothness(vertices, edges) - laplacian_smoothness(flat, edges))
    assert rise == pytest.approx((0.3**2 + 4 * 0.1**2) / 5, rel=1e-5)


@pytest.mark.parametrize("name", MESHES)
def test_kernels_agree_with_references(name):
    for fast, truth in (
        (normal_consistency, normal_consistency_reference),
        (lambda v, t, e: laplacian_smoothness(v, e), lambda v, t, e: laplacian_smoothness_reference(v, e)),
    ):
        v, t, e = _scene(MESHES[name])
        w = v.detach().double().requires_grad_()
        ours, theirs = fast(v, t, e), truth(w, t, e)
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-7)
        (3 * ours).backward()
        (3 * theirs).backward()
        torch.testing.assert_close(v.grad.double(), w.grad, rtol=1e-4, atol=1e-6)


def test_references_match_finite_differences():
    vertices, triangles, edges = _scene(trimesh.creation.box(), torch.float64)
    assert torch.autograd.gradcheck(lambda v: normal_consistency_reference(v, triangles, edges), vertices)
    assert torch.autograd.gradcheck(lambda v: laplacian_smoothness_reference(v, edges), vertices)


def test_degenerate_triangles_give_finite_gradients():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], requires_grad=True)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    normal_consistency(vertices, triangles, _table(triangles.numpy())).backward()
    assert torch.isfinite(vertices.grad).all()
