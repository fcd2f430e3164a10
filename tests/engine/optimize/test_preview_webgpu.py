"""The preview drawn by WebGPU: that it shows what the processor shows, in every display, and its lines and numbers."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from engine.errors import Cancelled, DeviceError
from engine.kernels.webgpu import DeviceLost, Gpu
from engine.optimize.preview import DISPLAYS, PreviewRenderer
from engine.optimize.preview_webgpu import GpuPreviewImage, PreviewDevice, SceneLines, WebGpuPreview
from engine.optimize.snapshot import SceneSnapshot
from engine.scene import Environment, Material, Mesh
from engine.scene.camera import look_at

CAMERA = look_at(np.array([2.1, 0.8, 1.2]), np.zeros(3), np.array([0.0, 0, 1]), 130, 144, 112)


@pytest.fixture(scope="module")
def device() -> PreviewDevice:
    return PreviewDevice(Gpu())


@pytest.fixture(scope="module")
def lumpy() -> Mesh:
    ball = trimesh.creation.icosphere(3, 0.8)
    vertices = ball.vertices * (1 + 0.15 * np.sin(6 * ball.vertices[:, :1]) * np.sin(5 * ball.vertices[:, 1:2]))
    faces = np.asarray(ball.faces, np.int32)[: -len(ball.faces) // 9]  # open, so that there are boundary edges
    return Mesh(vertices.astype(np.float32), faces)


@pytest.fixture(scope="module")
def sky() -> Environment:
    return Environment(np.random.default_rng(1).gamma(0.8, 0.8, (16, 32, 3)).astype(np.float32))


@pytest.fixture(scope="module")
def snapshots(lumpy, sky) -> dict[str, SceneSnapshot]:
    random = np.random.default_rng(3)
    colors = random.uniform(0.05, 0.95, (len(lumpy.vertices), 5)).astype(np.float32)
    uvs = (lumpy.vertices[:, :2] / 2.2 + 0.5).astype(np.float32)
    mapped = Mesh(lumpy.vertices, lumpy.triangles, uvs, lumpy.triangles)
    base, packed = (random.uniform(0.05, 1, (*size, 3)).astype(np.float32) for size in ((128, 64), (32, 32)))
    normal = random.normal(size=(64, 64, 3)) * (0.25, 0.25, 0) + (0, 0, 1)
    normal = (normal / np.linalg.norm(normal, axis=-1, keepdims=True)).astype(np.float32)
    turning = Environment(sky.radiance, np.linalg.qr(random.normal(size=(3, 3)))[0], "camera")
    return {
        "vertices": SceneSnapshot("shape", 1, 1, lumpy, colors, None, sky),
        "bare": SceneSnapshot("shape", 1, 2, lumpy, None, None, None),
        "uniform": SceneSnapshot("shape", 1, 3, lumpy, None, Material(base[:1, :1], packed[:1, :1]), sky),
        "textures": SceneSnapshot("refine", 1, 4, mapped, None, Material(base, packed), turning),
        "normal map": SceneSnapshot("refine", 1, 5, mapped, None, Material(base, packed, normal), sky),
    }


def inside(ids: np.ndarray) -> np.ndarray:
    """[H,W] pixels on the object and not next to its silhouette."""
    padded = np.pad(ids > 0, 1)
    return np.logical_and.reduce([padded[1 + y : -1 + y or None, 1 + x : -1 + x or None] for x, y in
                                  ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))])  # fmt: skip


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / max(((a.astype(float) - b) ** 2).mean(), 1e-9))


@pytest.mark.parametrize("kind", ["vertices", "bare", "uniform", "textures", "normal map"])
def test_every_display_shows_what_the_processor_shows(device, snapshots, kind):
    expected, found = PreviewRenderer(snapshots[kind]), WebGpuPreview(snapshots[kind], device)
    for display in DISPLAYS:
        a, b = expected.image(CAMERA, display, exposure=0.5), found.image(CAMERA, display, exposure=0.5)
        same = a.triangle_id == b.triangle_id
        assert same.mean() > 0.999
        seen = inside(a.triangle_id) & inside(b.triangle_id)
        assert psnr(a.rgba[seen], b.rgba[seen]) > 40 and a.rgba[seen].std() > 2, display
        assert psnr(a.rgba, b.rgba) > 40, display  # with antialiased silhouettes
        solid = same & (a.triangle_id > 0)
        assert np.abs(a.depth[solid] - b.depth[solid]).max() < 1e-3
        assert np.array_equal(np.isinf(a.depth), a.triangle_id == 0) and a.depth_range == b.depth_range


def test_the_backdrop_and_another_light(device, snapshots, sky):
    fine = Environment(np.random.default_rng(5).uniform(0, 2, (48, 96, 3)).astype(np.float32))
    expected, found = PreviewRenderer(snapshots["vertices"]), WebGpuPreview(snapshots["vertices"], device)
    for light in (None, fine):
        a, b = (renderer.image(CAMERA, "shaded", light, background=True) for renderer in (expected, found))
        assert (b.alpha == 1).all()
        assert psnr(a.rgba, b.rgba) > 40
    plain = found.image(CAMERA, "normal", background=True)
    assert plain.alpha[0, 0] == 0  # only lit displays have one


def test_a_picture_of_a_whole_4k_screen_fits_the_default_limits(device, snapshots):
    """WebGPU's default binding holds 16 bytes of each of its pixels: so much is enough, less is told."""
    assert 16 * 3840 * 2160 <= 128 * 2**20
    height, width = CAMERA.size
    narrow = Gpu()
    whole = WebGpuPreview(snapshots["bare"], device).image(CAMERA)
    narrow.limits["max-storage-buffer-binding-size"] = 16 * height * width
    found = WebGpuPreview(snapshots["bare"], PreviewDevice(narrow)).image(CAMERA)
    assert np.array_equal(found.rgba, whole.rgba) and np.array_equal(found.material, whole.material)
    narrow.limits["max-storage-buffer-binding-size"] -= 16
    with pytest.raises(DeviceError, match=r"silhouettes .* is larger than what .* lets a shader see at once"):
        WebGpuPreview(snapshots["bare"], PreviewDevice(narrow)).image(CAMERA)


def test_a_draft_has_jagged_silhouettes(device, snapshots):
    renderer = WebGpuPreview(snapshots["vertices"], device)
    smooth, jagged = renderer.image(CAMERA), renderer.image(CAMERA, draft=True)
    assert set(np.unique(jagged.rgba[..., 3])) == {0, 255} and len(np.unique(smooth.rgba[..., 3])) > 20


@pytest.mark.parametrize("kind", ["vertices", "normal map"])
def test_the_numbers_of_a_pixel_are_the_processors(device, snapshots, kind):
    expected = PreviewRenderer(snapshots[kind]).image(CAMERA)
    found = WebGpuPreview(snapshots[kind], device).image(CAMERA)
    assert isinstance(found, GpuPreviewImage)
    rows, columns = np.nonzero(inside(expected.triangle_id))
    for row, column in list(zip(rows.tolist(), columns.tolist(), strict=True))[::97]:
        a, b = expected.at(column, row), found.at(column, row)
        assert b.depth == pytest.approx(a.depth, abs=1e-4)
        assert np.allclose(a.base_color, b.base_color, atol=4e-3) and abs(a.roughness - b.roughness) < 4e-3
        assert abs(a.metallic - b.metallic) < 4e-3
    assert found.at(0, 0).depth is None and found.at(-1, 3).color is None
    brief = WebGpuPreview(snapshots[kind], device).image(CAMERA, numbers=False)
    assert np.array_equal(brief.rgba, found.rgba) and brief.at(columns[0], rows[0]).base_color is None
    with pytest.raises(ValueError, match="PreviewRenderer"):
        _ = found.maps


def test_a_new_snapshot_shares_what_stayed(device, snapshots):
    old = snapshots["textures"]
    WebGpuPreview(old, device).image(CAMERA)
    shared = device.uploads.mesh(old), device.uploads.textures(old)
    material = Material(1 - old.material.base_color, old.material.occlusion_roughness_metallic)
    new = SceneSnapshot("refine", 2, 9, old.mesh, None, material, old.environment)
    a, b = PreviewRenderer(new).image(CAMERA), WebGpuPreview(new, device).image(CAMERA)
    assert psnr(a.rgba, b.rgba) > 40
    assert device.uploads.mesh(new) is shared[0]
    textures = device.uploads.textures(new)
    assert [textures[i] is shared[1][i] for i in sorted(textures)] == [False, True]


def test_lines_are_hidden_by_the_surface(device, snapshots):
    renderer = WebGpuPreview(snapshots["bare"], device)
    right, forward = CAMERA.world_from_camera[:3, 0], CAMERA.forward
    ends = np.stack([-5 * right, 5 * right])
    for depth, alpha in ((-1.5, 1.0), (-2.0, 1.0), (1.5, 0.25)):  # before and behind the object
        begin, end = (ends + depth * forward)[:, None]
        lines = SceneLines(begin, end, np.array([[1.0, 0, 0, 1]]), 4.0, 0.25)
        plain, lined = renderer.image(CAMERA), renderer.image(CAMERA, lines=lines)
        row = int(CAMERA.project(begin)[0][0, 1])
        centre, beside = lined.rgba[row, 72] / 255, lined.rgba[row, 2] / 255
        assert np.allclose(beside, (1, 0, 0, 1), atol=0.01)
        under = plain.rgba[row, 72] / 255
        assert np.allclose(centre, under * (1 - alpha) + np.array([1, 0, 0, 1]) * alpha, atol=0.02)
        above = lined.rgba[: row - 4].astype(int) - plain.rgba[: row - 4]
        assert np.abs(above).max() <= 1  # rounded by way of halves
    through = SceneLines(CAMERA.position[None] - forward, np.zeros((1, 3)), np.ones((1, 4)), 2.0)
    assert np.isfinite(renderer.image(CAMERA, lines=through).rgba).all()  # one end behind the camera


def test_volumes_are_left_to_the_processor(device):
    from engine.geometry.radiance_volume import RadianceVolume
    from engine.optimize.snapshot import VolumeSnapshot

    axis = np.linspace(-1, 1, 17)
    field = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1), axis=-1) - 0.7
    box = np.array([[-1.0, -1, -1], [1, 1, 1]])
    volume = RadianceVolume(field.astype(np.float32), box)
    values = np.full((len(volume.corner), 4), 3, np.float32)
    snapshot = SceneSnapshot("volume", 3, 1, volume=VolumeSnapshot(box, volume.slot, values), box=box)
    a, b = PreviewRenderer(snapshot).image(CAMERA), WebGpuPreview(snapshot, device).image(CAMERA)
    assert np.array_equal(a.rgba, b.rgba) and a.alpha.max() > 0.9
    empty = WebGpuPreview(SceneSnapshot("", 0, 0), device)
    assert empty.empty and empty.image(CAMERA).alpha.max() == 0


def test_what_is_no_longer_wanted_is_not_drawn(device, snapshots):
    renderer = WebGpuPreview(snapshots["bare"], device)
    with pytest.raises(Cancelled):
        renderer.image(CAMERA, cancelled=lambda: True)
    with pytest.raises(ValueError, match="unknown display"):
        renderer.image(CAMERA, "sculpted")


def test_a_lost_device_is_told_and_never_waited_for(snapshots):
    gpu = Gpu()
    renderer = WebGpuPreview(snapshots["vertices"], PreviewDevice(gpu))
    assert renderer.image(CAMERA).alpha.max() == 1
    gpu.destroy()
    for _ in range(2):
        with pytest.raises(DeviceLost):
            renderer.image(CAMERA)


def test_a_camera_that_looks_elsewhere_sees_nothing(device, snapshots):
    away = look_at(CAMERA.position, 2 * CAMERA.position, np.array([0.0, 0, 1]), 130, 144, 112)
    beside = look_at(
        CAMERA.position, CAMERA.position + (0.0, 0, 5) - 0.3 * CAMERA.position, np.array([0, 1.0, 0]), 130, 144, 112
    )
    for camera in (away, beside):
        image = WebGpuPreview(snapshots["vertices"], device).image(camera)
        assert image.alpha.max() == 0 and np.isinf(image.depth).all() and image.triangle_id.max() == 0
    close = look_at(0.9 * CAMERA.position / 2, np.zeros(3), np.array([0.0, 0, 1]), 130, 144, 112)
    a, b = (
        PreviewRenderer(snapshots["vertices"]).image(close),
        WebGpuPreview(snapshots["vertices"], device).image(close),
    )
    assert psnr(a.rgba, b.rgba) > 40
