"""FlexiCubes: closed manifold meshes, the fast one against the reference, the reference against differences.

Fields live on small grids over [-1,1]^3. Gradient tests use a noisy sphere with random deformation and weights, so that
all parameters matter and no crossing sits at a tie.
"""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.errors import GeometryError
from engine.geometry.flexicubes import FlexiCubes

BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def _grid(resolution: int) -> np.ndarray:
    axis = np.linspace(-1, 1, resolution + 1)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def _sphere(resolution: int, radius: float = 0.7) -> np.ndarray:
    return np.linalg.norm(_grid(resolution), axis=-1) - radius


def _torus(resolution: int) -> np.ndarray:
    x, y, z = np.moveaxis(_grid(resolution), -1, 0)
    return np.hypot(np.hypot(x, y) - 0.6, z) - 0.25


def _noisy(resolution: int = 8, seed: int = 0) -> FlexiCubes:
    surface = FlexiCubes.from_field(_sphere(resolution), BOX)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        surface.sdf += 0.5 * torch.randn(surface.sdf.shape, generator=generator)
        surface.deformation.normal_(generator=generator)
        surface.weights.normal_(generator=generator)
    return surface


def _twin(surface: FlexiCubes) -> FlexiCubes:
    twin = FlexiCubes(surface.resolution, BOX).double()
    twin.load_state_dict(surface.state_dict())
    return twin


def _mesh(extraction) -> trimesh.Trimesh:
    return trimesh.Trimesh(extraction.vertices.detach().numpy(), extraction.triangles.numpy(), process=False)


def _assert_closed_manifold(triangles: np.ndarray, vertex_count: int) -> None:
    """Every directed edge once, its reverse once, and one cycle of triangles around each vertex."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    keys = directed[:, 0] * vertex_count + directed[:, 1]
    assert len(np.unique(keys)) == len(keys)
    assert np.array_equal(np.sort(keys), np.sort(directed[:, 1] * vertex_count + directed[:, 0]))
    corner, following, before = (np.concatenate([np.roll(triangles, -k, 1)[:, i] for i in range(3)]) for k in range(3))
    around: dict[int, dict[int, int]] = {}
    for v, a, b in zip(corner.tolist(), following.tolist(), before.tolist(), strict=True):
        around.setdefault(v, {})[a] = b
    assert len(around) == vertex_count
    for ring in around.values():
        start = vertex = next(iter(ring))
        steps = 0
        while steps == 0 or vertex != start:
            vertex = ring[vertex]
            steps += 1
        assert steps == len(ring)


@pytest.mark.parametrize("split", ["fan", "two"])
@pytest.mark.parametrize(("field", "euler"), [(_sphere, 2), (_torus, 0)])
def test_mesh_is_closed_manifold_and_faces_outwards(field, euler, split):
    extraction = FlexiCubes.from_field(field(16), BOX).extract(split=split)
    mesh = _mesh(extraction)
    _assert_closed_manifold(extraction.triangles.numpy(), len(extraction.vertices))
    assert mesh.euler_number == euler
    assert mesh.volume > 0
    analytic = mesh.triangles_center if field is _sphere else _torus_normal(mesh.triangles_center)
    assert (np.einsum("fi,fi->f", mesh.face_normals, analytic) > 0).all()


def _torus_normal(points: np.ndarray) -> np.ndarray:
    ring = points * [1, 1, 0]
    return points - 0.6 * ring / np.linalg.norm(ring, axis=1, keepdims=True)


@pytest.mark.parametrize("resolution", [16, 32])
def test_sphere_is_accurate_to_second_order(resolution):
    extraction = FlexiCubes.from_field(_sphere(resolution), BOX).extract()
    radius = extraction.vertices.detach().norm(dim=1)
    assert (radius - 0.7).abs().max() < (2.0 / resolution) ** 2


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    signs=arrays(np.bool_, (5, 5, 5)),
    seed=st.integers(0, 2**16),
    split=st.sampled_from(["fan", "two"]),
)
def test_any_signs_give_a_closed_manifold_mesh(signs, seed, split):
    """Also where the field is negative on the walls, which are then closed."""
    generator = np.random.default_rng(seed)
    field = generator.uniform(0.1, 1.0, signs.shape) * np.where(signs, -1, 1)
    field[2, 2, 2] = -0.5
    surface = FlexiCubes.from_field(field, BOX)
    with torch.no_grad():
        surface.weights.copy_(torch.from_numpy(generator.normal(size=surface.weights.shape)))
    extraction = surface.extract(split=split)
    _assert_closed_manifold(extraction.triangles.numpy(), len(extraction.vertices))
    assert torch.isfinite(extraction.vertices).all()
    assert extraction.vertices.abs().max() <= 1 + 0.5 * surface.cell_size


def test_random_fields_of_a_larger_grid_are_manifold_in_both_implementations():
    generator = np.random.default_rng(3)
    for share in (0.3, 0.5):
        field = generator.uniform(-share, 1 - share, (13, 13, 13))
        surface = FlexiCubes.from_field(field, BOX)
        fast, truth = surface.extract(), surface.extract("reference")
        assert torch.equal(fast.triangles, truth.triangles)
        _assert_closed_manifold(fast.triangles.numpy(), len(fast.vertices))


@pytest.mark.parametrize("split", ["fan", "two"])
def test_fast_agrees_with_reference_in_values_and_gradients(split):
    surface = _noisy()
    twin = _twin(surface)
    fast, truth = surface.extract(split=split), twin.extract("reference", split=split)
    assert torch.equal(fast.triangles, truth.triangles)
    assert torch.equal(fast.active_cells, truth.active_cells)
    assert torch.equal(fast.active_corners, truth.active_corners)
    torch.testing.assert_close(fast.vertices.double(), truth.vertices, rtol=0, atol=1e-6)
    direction = torch.randn(truth.vertices.shape, generator=torch.Generator().manual_seed(1))
    for extraction in (fast, truth):
        loss = (extraction.vertices * direction.to(extraction.vertices)).sum()
        (loss + 3 * extraction.l_dev + 5 * extraction.entropy).backward()
    torch.testing.assert_close(fast.l_dev.double(), truth.l_dev, rtol=1e-5, atol=0)
    torch.testing.assert_close(fast.entropy.double(), truth.entropy, rtol=1e-5, atol=0)
    for name in ("sdf", "deformation", "weights"):
        ours, theirs = getattr(surface, name).grad.double(), getattr(twin, name).grad
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5 * float(theirs.abs().max()))
    inactive = torch.ones(len(surface.weights), dtype=torch.bool)
    inactive[fast.active_cells] = False
    assert not surface.weights.grad[inactive].any()


@pytest.mark.parametrize("split", ["fan", "two"])
def test_reference_gradients_match_finite_differences(split):
    surface = _twin(_noisy(5, seed=2))
    generator = torch.Generator().manual_seed(4)
    weight = None

    def loss():
        nonlocal weight
        extraction = surface.extract("reference", split=split)
        if weight is None:
            weight = torch.randn(extraction.vertices.shape, generator=generator, dtype=torch.float64)
        return (extraction.vertices * weight).sum() + 2 * extraction.l_dev + extraction.entropy

    loss().backward()
    step = 1e-6
    for parameter in surface.parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        analytic = float((parameter.grad * direction).sum())
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                ends.append(float(loss()))
                parameter -= sign * step * direction
        assert analytic == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-6)


def test_same_bits_whatever_the_thread_count():
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            surface = _noisy(12)
            extraction = surface.extract()
            (extraction.vertices.square().sum() + extraction.l_dev + extraction.entropy).backward()
            results.append([extraction.vertices.detach(), *(p.grad for p in surface.parameters())])
    finally:
        numba.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_gradients_that_are_kept_are_never_overwritten():
    surface = _noisy()
    kept = []
    for power in (1, 2, 1):
        surface.zero_grad(set_to_none=True)
        surface.extract().vertices.pow(power).sum().backward()
        kept.append(surface.weights.grad.view(-1))
    copies = [k.clone() for k in kept]
    surface.extract().vertices.pow(3).sum().backward()
    assert all(torch.equal(k, c) for k, c in zip(kept[:2], copies[:2], strict=True))
    assert torch.equal(copies[0], copies[2]) and not torch.equal(copies[0], copies[1])


def test_a_gradient_that_is_dropped_leaves_nothing_behind():
    """Its memory comes again for another surface, whose gradient must be as if made afresh."""
    surface = _noisy()
    surface.extract().vertices.sum().backward()
    surface.zero_grad(set_to_none=True)
    with torch.no_grad():
        surface.sdf.copy_(surface.sdf.roll(2 * (surface.resolution + 1) ** 2))
    fresh = FlexiCubes(surface.resolution, BOX)
    fresh.load_state_dict(surface.state_dict())
    for one in (surface, fresh):
        one.extract().vertices.sum().backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(surface.parameters(), fresh.parameters(), strict=True))


def test_l_dev_is_zero_where_crossings_are_equally_far():
    """One inside corner: its three or four crossings per cell are symmetric about the dual vertex."""
    field = np.full((5, 5, 5), 1.0)
    field[2, 2, 2] = -1.0
    for implementation in ("numba", "reference"):
        extraction = FlexiCubes.from_field(field, BOX).extract(implementation)
        assert float(extraction.l_dev.detach()) == pytest.approx(0, abs=1e-6)
    field[2, 2, 3] = -0.2
    assert float(FlexiCubes.from_field(field, BOX).extract().l_dev.detach()) > 1e-3


def test_entropy_pulls_a_floater_towards_zero():
    field = np.full((6, 6, 6), 0.2)
    field[2, 2, 2] = -0.2
    surface = FlexiCubes.from_field(field, BOX)
    surface.extract().entropy.backward()
    gradient = surface.sdf.grad.reshape(6, 6, 6)
    assert gradient[2, 2, 2] < 0 < gradient[2, 2, 3]  # descent raises the inside corner and lowers its neighbours
    assert int((gradient != 0).sum()) == 7


def test_empty_field_is_a_clear_error():
    for implementation in ("numba", "reference"):
        with pytest.raises(GeometryError, match="iso-surface is empty"):
            FlexiCubes(8, BOX).extract(implementation)


def test_unusable_fields_and_boxes_are_clear_errors():
    with pytest.raises(GeometryError, match="not finite"):
        FlexiCubes.from_field(np.full((5, 5, 5), np.nan), BOX)
    with pytest.raises(GeometryError, match="shape"):
        FlexiCubes.from_field(np.zeros((5, 5, 4)), BOX)
    with pytest.raises(GeometryError, match="box"):
        FlexiCubes(8, BOX[::-1].copy())
    with pytest.raises(GeometryError, match="split"):
        FlexiCubes.from_field(_sphere(8), BOX).extract(split="three")


def test_box_need_not_be_a_cube():
    box = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    extraction = FlexiCubes.from_field(_sphere(16), box).extract()
    scaled = (extraction.vertices.detach() - torch.tensor([0.5, 1.0, 1.5])) / torch.tensor([0.5, 1.0, 1.5])
    assert (scaled.norm(dim=1) - 0.7).abs().max() < (2.0 / 16) ** 2
