"""The preview: what each display shows, and that it agrees with the renderer that the metrics use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from engine.errors import Cancelled
from engine.exchange import AssetRenderer
from engine.geometry.radiance_volume import RadianceVolume
from engine.optimize.preview import DISPLAYS, NEUTRAL, PreviewRenderer
from engine.optimize.preview_faces import BOUNDARY_EDGE, NON_MANIFOLD_EDGE, edge_kinds, shape_quality
from engine.optimize.snapshot import SceneSnapshot, VolumeSnapshot
from engine.raster.contract import EdgeTable
from engine.scene import Environment, Material, Mesh
from engine.scene.camera import look_at
from engine.scene.conventions import linear_to_srgb

CAMERA = look_at(np.array([2.5, 1.0, 1.2]), np.zeros(3), np.array([0.0, 0, 1]), 90, 96, 72)
COLOR = np.array([0.2, 0.5, 0.7, 0.35, 0.25], np.float32)  # base colour, roughness, metallic


@pytest.fixture(scope="module")
def ball() -> Mesh:
    made = trimesh.creation.icosphere(3, 0.8)
    return Mesh(np.asarray(made.vertices, np.float32), np.asarray(made.faces, np.int32))


@pytest.fixture(scope="module")
def sky() -> Environment:
    random = np.random.default_rng(1)
    return Environment(random.uniform(0.2, 1.5, (8, 16, 3)).astype(np.float32))


@pytest.fixture(scope="module")
def vertex_snapshot(ball, sky) -> SceneSnapshot:
    colors = np.tile(COLOR, (len(ball.vertices), 1))
    return SceneSnapshot("shape", 5, 1, ball, colors, None, sky, None, ball.box)


@pytest.fixture(scope="module")
def textured_snapshot(ball, sky) -> SceneSnapshot:
    uvs = (ball.vertices[:, :2] / 2 + 0.5).astype(np.float32)
    mesh = Mesh(ball.vertices, ball.triangles, uvs, ball.triangles)
    texture = np.broadcast_to(COLOR[:3], (8, 8, 3)).astype(np.float32)
    packed = np.broadcast_to(np.array([1, COLOR[3], COLOR[4]], np.float32), (8, 8, 3)).astype(np.float32)
    return SceneSnapshot("refine", 9, 2, mesh, None, Material(texture, packed), sky, None, mesh.box)


@pytest.fixture(scope="module")
def volume_snapshot() -> SceneSnapshot:
    axis = np.linspace(-1, 1, 25)
    field = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1), axis=-1) - 0.7
    box = np.array([[-1.0, -1, -1], [1, 1, 1]])
    volume = RadianceVolume(field.astype(np.float32), box)
    values = np.zeros((len(volume.corner), 4), np.float32)
    values[:, 0] = np.where(field[tuple(volume.corner.T)] < 0, 3, -3)
    values[:, 1] = 4  # red
    values[:, 2:] = -4
    return SceneSnapshot("volume", 3, 1, volume=VolumeSnapshot(box, volume.slot, values), box=box)


def middle(image) -> np.ndarray:
    return image.rgb[36, 48].astype(float)


@pytest.mark.parametrize("kind", ["vertex_snapshot", "textured_snapshot"])
def test_shaded_is_what_the_asset_renderer_draws(kind, request, ball, sky):
    snapshot = request.getfixturevalue(kind)
    preview = PreviewRenderer(snapshot)
    packed = np.array([[[1, COLOR[3], COLOR[4]]]], np.float32)
    truth = AssetRenderer(ball, Material(COLOR[None, None, :3], packed), sky)
    color, alpha = truth.render(CAMERA)
    linear, coverage = preview.render(CAMERA)
    assert np.abs(coverage - alpha).max() < 1e-4
    assert np.abs(linear - color).max() < 2e-3
    image = preview.image(CAMERA)
    straight = color / np.maximum(alpha, 1e-6)[..., None]
    rest = (1 - alpha[..., None]) * np.array(NEUTRAL)
    expected = linear_to_srgb(straight) * alpha[..., None] * 255 + rest
    assert np.abs(image.rgb - expected).max() < 2.5
    assert np.abs(image.alpha - alpha).max() < 0.01


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("kind", ["vertex_snapshot", "textured_snapshot", "volume_snapshot"])
def test_every_display_shows_the_object_on_nothing(kind, display, request):
    image = PreviewRenderer(request.getfixturevalue(kind)).image(CAMERA, display)
    assert image.rgba.shape == (72, 96, 4) and image.rgba.dtype == np.uint8
    assert image.alpha[36, 48] > 0.95 and image.alpha[0, 0] == 0
    assert (image.rgba[..., :3].max(-1) <= image.rgba[..., 3]).all()  # premultiplied
    assert np.isfinite(image.depth[36, 48]) and np.isinf(image.depth[0, 0])
    assert tuple(image.rgb[0, 0]) == NEUTRAL


def test_maps_show_the_material(vertex_snapshot):
    preview = PreviewRenderer(vertex_snapshot)
    assert np.abs(middle(preview.image(CAMERA, "base_color")) - linear_to_srgb(COLOR[:3]) * 255).max() < 1.5
    assert np.abs(middle(preview.image(CAMERA, "roughness")) - COLOR[3] * 255).max() < 1.5
    assert np.abs(middle(preview.image(CAMERA, "metallic")) - COLOR[4] * 255).max() < 1.5
    toward = -CAMERA.forward
    assert np.abs(middle(preview.image(CAMERA, "normal")) - (toward * 0.5 + 0.5) * 255).max() < 6


def test_the_numbers_of_a_pixel(vertex_snapshot):
    image = PreviewRenderer(vertex_snapshot).image(CAMERA)
    values = image.at(48, 36)
    assert values.depth == pytest.approx(np.linalg.norm(CAMERA.position) - 0.8, abs=0.02)
    assert np.allclose(values.base_color, COLOR[:3], atol=1e-3)
    assert (values.roughness, values.metallic) == (pytest.approx(0.35, abs=1e-3), pytest.approx(0.25, abs=1e-3))
    assert values.color == tuple(image.rgb[36, 48])
    assert image.at(0, 0).depth is None and image.at(0, 0).color == NEUTRAL
    assert image.at(-1, 5).color is None and image.at(96, 5).color is None
    maps = image.maps
    assert maps.roughness[36, 48] == pytest.approx(0.35, abs=1e-3) and maps.alpha[0, 0] == 0


def test_exposure_brightens_light_but_not_materials(vertex_snapshot):
    preview = PreviewRenderer(vertex_snapshot)
    assert (
        middle(preview.image(CAMERA, "light", exposure=-1)).mean() < middle(preview.image(CAMERA, "light")).mean() - 20
    )
    assert (preview.image(CAMERA, "base_color", exposure=2).rgba == preview.image(CAMERA, "base_color").rgba).all()


def test_another_light_changes_the_shading_only_while_it_is_given(vertex_snapshot):
    preview = PreviewRenderer(vertex_snapshot)
    before = preview.image(CAMERA).rgba
    red = Environment(np.broadcast_to(np.array([1, 0.05, 0.05], np.float32), (8, 16, 3)).copy())
    lit = preview.image(CAMERA, "light", red).rgb[36, 48]
    assert lit[0] > 2 * lit[1]
    assert (preview.image(CAMERA).rgba == before).all()


def test_the_light_behind_is_shown_where_the_environment_has_it(vertex_snapshot):
    radiance = np.zeros((16, 32, 3), np.float32)
    radiance[:, 16:, 0] = 1  # red toward +X
    radiance[:, :16, 2] = 1
    environment = Environment(radiance)  # y is up, -z ahead
    camera = look_at(np.zeros(3), np.array([0.0, 0, -1]), np.array([0.0, 1, 0]), 40, 64, 48)
    empty = PreviewRenderer(SceneSnapshot("hull", 0, 1))
    image = empty.image(camera, "shaded", environment, background=True)
    assert image.rgb[24, 50, 0] > 200 and image.rgb[24, 50, 2] < 30
    assert image.rgb[24, 12, 2] > 200 and image.rgb[24, 12, 0] < 30
    assert (image.alpha == 1).all()


def test_wireframe_darkens_edges(vertex_snapshot):
    preview = PreviewRenderer(vertex_snapshot)
    near = look_at(np.array([1.6, 0, 0.0]), np.zeros(3), np.array([0.0, 0, 1]), 300, 96, 72)
    change = preview.image(near, "wireframe").rgb.astype(int) - preview.image(near, "shaded").rgb
    assert (change.min(-1) < -40).mean() > 0.03 and (change == 0).all(-1).mean() > 0.3


def test_triangle_ids_are_one_colour_each(vertex_snapshot):
    image = PreviewRenderer(vertex_snapshot).image(CAMERA, "triangle_id", draft=True)
    ids = image.triangle_id
    for triangle in np.unique(ids[ids > 0])[:20]:
        assert len(np.unique(image.rgb[ids == triangle], axis=0)) == 1
    assert len(np.unique(image.rgb[ids > 0], axis=0)) > 0.8 * len(np.unique(ids[ids > 0]))


def test_quality_tells_thin_from_well_shaped():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.866, 0], [0.5, 0.02, 0], [0, 0, 0]], np.float32)
    quality = shape_quality(vertices, np.array([[0, 1, 2], [0, 1, 3], [0, 0, 4]], np.int32))
    assert quality[0] > 0.99 and quality[1] < 0.1 and quality[2] == 0


def test_edges_are_boundary_or_shared_by_three():
    triangles = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]], np.int32)  # a fin: three faces at edge 0-1
    kinds = edge_kinds(triangles, EdgeTable.from_triangles(torch.from_numpy(triangles), 5))
    assert (kinds[:, 0] == NON_MANIFOLD_EDGE).all()
    assert (kinds[:, 1:] == BOUNDARY_EDGE).all()


def test_a_closed_surface_has_plain_edges_only(ball):
    assert not edge_kinds(ball.triangles, EdgeTable.from_triangles(torch.from_numpy(ball.triangles), 642)).any()


def test_a_volume_is_seen_as_the_stage_renders_it(volume_snapshot):
    image = PreviewRenderer(volume_snapshot).image(CAMERA)
    volume = RadianceVolume(np.where(volume_snapshot.volume.slot >= 0, -1, 1).astype(np.float32), volume_snapshot.box)
    with torch.no_grad():
        volume.values.copy_(torch.from_numpy(volume_snapshot.volume.values))
        origin, rays = CAMERA.rays()
        rays = rays.reshape(-1, 3)
        truth = volume.render(np.broadcast_to(origin, rays.shape), rays, np.full(len(rays), 0.5, np.float32)).numpy()
    alpha, solid = (1 - truth[:, 3]).reshape(CAMERA.size), (truth[:, 3] < 0.01).reshape(CAMERA.size)
    assert solid.sum() > 500
    assert np.abs(image.rgba[solid, :3] / 255 - truth[solid.reshape(-1), :3]).max() < 0.02
    assert np.abs(image.alpha - alpha).max() < 0.01
    assert np.allclose(image.depth[solid], volume.depth(CAMERA)[solid], rtol=1e-3)
    assert middle(PreviewRenderer(volume_snapshot).image(CAMERA, "normal"))[0] > 150  # faces +X


def test_a_volume_gives_way_to_a_newer_view(volume_snapshot):
    with pytest.raises(Cancelled):
        PreviewRenderer(volume_snapshot).image(CAMERA, cancelled=lambda: True)


def test_nothing_yet_is_an_empty_picture():
    preview = PreviewRenderer(SceneSnapshot("hull", 0, 1))
    assert preview.empty and preview.box is None
    assert preview.image(CAMERA, "depth").rgba.max() == 0


def test_an_unknown_display_names_those_there_are(vertex_snapshot):
    with pytest.raises(ValueError, match="base_color"):
        PreviewRenderer(vertex_snapshot).image(CAMERA, "albedo")
