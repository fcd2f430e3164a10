"""The gradient lens: three engines on one parameter agree, and with the gradient that the stages take.

The scene is an icosphere of 162 vertices with smooth textures under a light from one side, drawn at 40 px against a
photo of the same sphere moved and darkened, so that silhouettes and shading both have a slope.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from engine.errors import Cancelled, GeometryError
from engine.optimize import gradient_lens as lens_of
from engine.optimize.gradient_lens import LightParameter, TexelParameter, VertexParameter, view_lens
from engine.optimize.lens.analytic import analytic_gradients, analytic_map, forward_derivative
from engine.optimize.lens.report import cosine_report
from engine.optimize.lens.scene import LensScene, LensView
from engine.optimize.snapshot import SceneSnapshot
from engine.scene import Environment, Material, Mesh
from engine.scene.camera import look_at
from engine.scene.environment import direction_of_texel

SIZE, SIDE = 40, 16


def sphere(shift: float = 0.0, dark: float = 1.0) -> SceneSnapshot:
    ball = trimesh.creation.icosphere(2, 0.5)
    points = np.asarray(ball.vertices, np.float32)
    uvs = (points[:, :2] * 0.8 + 0.5).astype(np.float32)
    triangles = np.asarray(ball.faces, np.int32)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    base = dark * np.stack([0.5 + 0.2 * x, 0.4 + 0.2 * y, 0.3 + 0 * x], -1)
    packed = np.stack([1 + 0 * x, 0.4 + 0.3 * x, 0.2 + 0.3 * y], -1)
    normal = np.stack([0.1 * np.sin(4 * x), 0.1 * np.cos(4 * y), 1 + 0 * x], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    maps = (part.astype(np.float32) for part in (base, packed, normal))
    lamp = 0.3 + np.clip(direction_of_texel(8, 16) @ np.array([0.6, 0.6, 0.5]), 0, 1) ** 2
    light = Environment(np.repeat(lamp[..., None], 3, -1).astype(np.float32), np.eye(3))
    moved = points + np.float32([shift, 0.5 * shift, 0])
    return SceneSnapshot("refine", 1, 1, Mesh(moved, triangles, uvs, triangles), None, Material(*maps), light)


@pytest.fixture(scope="module")
def view() -> LensView:
    camera = look_at(np.array([0.2, 0.3, 2.5]), np.zeros(3), np.array([0.0, 1.0, 0.0]), 1.9 * SIZE, SIZE, SIZE)
    photo = LensView(LensScene(sphere(0.06, 0.6)), camera, np.zeros((SIZE, SIZE, 3)), np.zeros((SIZE, SIZE))).image
    return LensView(LensScene(sphere()), camera, photo[..., :3].numpy(), photo[..., 3].numpy())


def silhouette_vertex(view: LensView) -> int:
    """The vertex whose projection is farthest to the right."""
    return int(np.argmax(view.camera.project(view.scene.vertices.numpy().astype(float))[0][:, 0]))


def nearest_vertex(view: LensView) -> int:
    return int(np.argmin(view.camera.project(view.scene.vertices.numpy().astype(float))[1]))


def seen_texel(view: LensView) -> tuple[int, int]:
    uv = view.scene.uvs[nearest_vertex(view)].numpy()
    return int(uv[0] * SIDE), int(uv[1] * SIDE)


def test_a_forward_derivative_is_the_derivative():
    grid = torch.linspace(0.1, 2, 7)
    found = forward_derivative(lambda t: torch.sin(grid * (1 + t)))
    torch.testing.assert_close(found, grid * torch.cos(grid))


def parameters(view: LensView) -> dict:
    column, row = seen_texel(view)
    return {
        "silhouette": VertexParameter(silhouette_vertex(view), "x"),
        "inside": VertexParameter(nearest_vertex(view), "normal"),
        "base_color": TexelParameter("base_color", column, row),
        "roughness": TexelParameter("roughness", column, row),
        "metallic": TexelParameter("metallic", column, row),
        "normal": TexelParameter("normal", column, row, 1),
        "light": LightParameter(8, 2),
    }


@pytest.mark.parametrize("name", ["silhouette", "inside", "base_color", "roughness", "metallic", "normal", "light"])
def test_the_analytic_map_sums_to_the_gradient_that_the_stages_take(view, name):
    parameter, scene = parameters(view)[name], view.scene
    gradients = analytic_gradients(view)
    if isinstance(parameter, VertexParameter):
        expected = float((gradients["vertices"] * parameter.tangent(scene)).sum())
    elif isinstance(parameter, TexelParameter):
        expected = float((gradients["texture"][parameter.y, parameter.x] * parameter.weights(scene)).sum())
    else:
        expected = float((gradients["light"] * parameter.tangent(scene)).sum())
    found = float(analytic_map(view, parameter, lens_of.moving_window(view, parameter)).sum())
    assert expected != 0 and found == pytest.approx(expected, rel=2e-3, abs=2e-5)


@pytest.mark.parametrize(
    ("name", "samples", "least", "worst"),
    [
        ("silhouette", 192, 0.8, 0.65),  # edge-on triangles: see engine/optimize/lens/stochastic.py
        ("inside", 192, 0.85, 0.3),
        ("base_color", 192, 0.9, 0.1),
        ("metallic", 192, 0.9, 0.15),
        ("light", 64, 0.6, 0.25),
    ],
)
def test_the_three_engines_agree(view, name, samples, least, worst):
    lens = view_lens(view, parameters(view)[name], samples=samples)
    sums, judge = lens.sums, lens.sums["differences"]
    assert lens.cosine("analytic", "differences") > 0.9
    assert lens.cosine("stochastic", "differences") > least
    assert lens.relative_error("analytic") < min(worst, 0.3)
    assert abs(sums["stochastic"] - judge) < worst * abs(judge) + 4 * lens.error


def test_a_vertex_moves_only_the_pixels_around_it(view):
    index = silhouette_vertex(view)
    whole = analytic_map(view, VertexParameter(index, "x"), view.whole).numpy()
    x0, y0, x1, y1 = lens_of.moving_window(view, VertexParameter(index, "x"))
    assert whole[y0:y1, x0:x1].any() and (x1 - x0) * (y1 - y0) < 0.5 * SIZE * SIZE
    whole[y0:y1, x0:x1] = 0
    assert not whole.any()


def test_a_hidden_vertex_moves_no_pixel(view):
    depth = view.camera.project(view.scene.vertices.numpy().astype(float))[1]
    lens = view_lens(view, VertexParameter(int(np.argmax(depth))), samples=8)
    assert not any(values.any() for values in lens.maps.values())


def test_the_same_seed_gives_the_same_map(view):
    first, second = (view_lens(view, TexelParameter("base_color", *seen_texel(view)), samples=8) for _ in range(2))
    np.testing.assert_array_equal(first.maps["stochastic"], second.maps["stochastic"])
    other = view_lens(view, TexelParameter("base_color", *seen_texel(view)), samples=8, seed=1)
    assert (other.maps["stochastic"] != first.maps["stochastic"]).any()


@pytest.mark.parametrize(
    "parameter",
    [
        VertexParameter(10**6),
        TexelParameter("base_color", SIDE, 0),
        TexelParameter("normal", 0, 0, 2),
        LightParameter(0, 8),
    ],
)
def test_a_parameter_that_is_not_there_is_named(view, parameter):
    with pytest.raises(GeometryError, match="there is no .* choose one from 0 to"):
        view_lens(view, parameter, samples=2)


def test_a_bare_mesh_has_no_texels_and_no_mesh_no_lens(view):
    snapshot = sphere()
    bare = SceneSnapshot("shape", 1, 1, Mesh(snapshot.mesh.vertices, snapshot.mesh.triangles))
    photo = np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE), np.float32)
    with pytest.raises(GeometryError, match="no textures yet"):
        view_lens(LensView(LensScene(bare), view.camera, *photo), TexelParameter("base_color", 0, 0))
    with pytest.raises(GeometryError, match="needs a surface"):
        LensScene(SceneSnapshot("volume", 1, 1))


def test_work_ends_where_progress_raises(view):
    said = []

    def progress(done: float, text: str) -> None:
        said.append(done)
        if text == "stochastic":
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        view_lens(view, VertexParameter(silhouette_vertex(view)), samples=50, progress=progress)
    assert said == sorted(said)


@pytest.mark.slow
def test_engines_agree_on_every_group_along_smooth_directions(view):
    for group in cosine_report(view, samples=128, directions=8):
        assert group.cosine("analytic", "differences") > 0.97, group
        assert group.cosine("analytic", "stochastic") > 0.9, group
        assert group.cosine("stochastic", "differences") > 0.9, group
