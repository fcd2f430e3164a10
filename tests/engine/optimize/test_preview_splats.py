"""Previews of splats: each display against what it must show of one known splat, and the fallbacks."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import Cancelled
from engine.optimize.displays import DISPLAYS, SPLAT_DISPLAYS, displays_of, shown_display
from engine.optimize.preview import NEUTRAL, PreviewRenderer
from engine.optimize.snapshot import SceneSnapshot, SplatLook
from engine.scene import Gaussians, Mesh
from engine.scene.camera import look_at
from engine.scene.gaussians import CONSTANT
from engine.splats.numba_outlines import LEVEL, outlined

CAMERA = look_at(np.array([0.0, -4.0, 0.0]), np.zeros(3), np.array([0.0, 0, 1]), 60.0, 64, 48)
RED = np.array([0.8, 0.3, 0.1])
CENTRE = 24, 32  # row, column


def ball(kind="gaussian", degree=0) -> Gaussians:
    """An opaque red splat of scale 0.3 at the origin, 4.5 pixels on the image, and a faint small one far off."""
    harmonics = np.zeros((2, (degree + 1) ** 2, 3), np.float32)
    harmonics[:, 0] = (RED - 0.5) / CONSTANT
    scales = np.log(np.array([[0.3, 0.3, 0.3], [0.05, 0.05, 0.05]], np.float32))
    if kind == "surface":
        scales[:, 2] = -16
    facing = np.array([[np.sqrt(0.5), np.sqrt(0.5), 0, 0], [1, 0, 0, 0]], np.float32)  # third axis toward the camera
    return Gaussians(
        np.array([[0, 0, 0], [80, 90, 0]], np.float32), facing, scales, np.array([8, -3], np.float32), harmonics, kind
    )


def snapshot(splats=None, background=None, scores=None) -> SceneSnapshot:
    return SceneSnapshot(
        *("splats", 3, 1), gaussians=splats or ball(), splat_look=SplatLook(background), splat_scores=scores
    )


def test_a_free_splat_stands_on_nothing_and_a_trained_background_is_drawn():
    free = PreviewRenderer(snapshot()).image(CAMERA)
    assert np.abs(free.rgba[CENTRE][:3] / free.rgba[CENTRE][3] - RED).max() < 0.01
    assert free.alpha[0, 0] == 0 and tuple(free.rgb[0, 0]) == NEUTRAL
    white = PreviewRenderer(snapshot(background=(1.0, 1.0, 1.0))).image(CAMERA)
    assert tuple(white.rgba[0, 0]) == (255, 255, 255, 255)
    assert np.abs(white.rgba[CENTRE][:3] / 255 - RED).max() < 0.02


def test_what_is_shown_is_what_is_scored():
    renderer = PreviewRenderer(snapshot(background=(0.0, 0.0, 0.0)))
    linear, alpha = renderer.render(CAMERA)
    assert (alpha == 1).all()
    from engine.scene.conventions import linear_to_srgb

    assert np.abs(linear_to_srgb(linear) * 255 - renderer.image(CAMERA).rgba[..., :3]).max() <= 1


def test_pixels_know_their_depth_and_drafts_do_without():
    renderer = PreviewRenderer(snapshot())
    values = renderer.image(CAMERA).at(CENTRE[1], CENTRE[0])
    assert values.depth == pytest.approx(4.0, abs=1e-3) and values.color is not None
    assert renderer.image(CAMERA).at(0, 0).depth is None
    assert renderer.image(CAMERA, draft=True).at(CENTRE[1], CENTRE[0]).depth is None
    assert np.isfinite(renderer.image(CAMERA, "depth", draft=True).depth[CENTRE])


def test_normals_face_the_camera():
    image = PreviewRenderer(snapshot(ball("surface"))).image(CAMERA, "normal")
    expected = (-CAMERA.forward * 0.5 + 0.5) * 255
    assert np.abs(image.rgba[CENTRE][:3] - expected).max() < 3


def test_opacity_is_a_grey_picture_of_alpha():
    renderer = PreviewRenderer(snapshot(background=(1.0, 1.0, 1.0)))
    image = renderer.image(CAMERA, "opacity")
    assert image.rgba[CENTRE].tolist()[:3] == [252, 252, 252]  # no splat is more opaque than 0.99
    assert tuple(image.rgba[0, 0]) == (0, 0, 0, 255)


@pytest.mark.parametrize("kind", ["gaussian", "surface"])
def test_outlines_are_ellipses_at_their_level(kind):
    image = outlined(ball(kind), CAMERA)
    row = image[CENTRE[0], :, 3]
    radius = LEVEL * np.sqrt((60 * 0.3 / 4) ** 2 + 0.3)
    rim = np.flatnonzero(row > 0.3) + 0.5
    assert rim.min() == pytest.approx(32 - radius, abs=1) and rim.max() == pytest.approx(32 + radius, abs=1)
    assert 0 < row[32] < 0.2  # filled faintly
    assert image[0, 0, 3] == 0
    strongest = image[CENTRE[0], np.argmax(row)]
    assert np.allclose(strongest[:3] / strongest[3], RED, atol=0.02)


def test_base_colour_leaves_directions_out():
    splats = ball(degree=1)
    splats.harmonics[:, 1:] = 0.8
    renderer = PreviewRenderer(snapshot(splats))
    shaded, base = (renderer.image(CAMERA, display).rgba[CENTRE] for display in ("shaded", "base_color"))
    assert np.abs(base[:3] / base[3] - RED).max() < 0.01
    assert np.abs(shaded.astype(int) - base).max() > 30


def test_density_scores_are_colours_from_violet_to_yellow():
    def middle(scores):
        rgba = PreviewRenderer(snapshot(scores=scores)).image(CAMERA, "density").rgba[CENTRE]
        return rgba[:3] / rgba[3]

    assert middle(np.array([1, 0], np.float32))[0] > 0.9  # yellow
    violet = middle(np.array([0, 1], np.float32))
    assert violet[2] > violet[1] + 0.2
    assert np.isfinite(middle(None)).all()  # size over opacity


def test_displays_that_make_no_sense_fall_back():
    splats = snapshot()
    assert displays_of(splats) == SPLAT_DISPLAYS and displays_of(None) == DISPLAYS
    assert shown_display("wireframe", SPLAT_DISPLAYS) == "outlines"
    assert shown_display("metallic", SPLAT_DISPLAYS) == "shaded" == shown_display("density", DISPLAYS)
    renderer = PreviewRenderer(splats)
    assert np.array_equal(renderer.image(CAMERA, "roughness").rgba, renderer.image(CAMERA).rgba)
    mesh = Mesh(np.array([[-1, 0, -1], [1, 0, -1], [0, 0, 1]], np.float32), np.array([[0, 1, 2]], np.int32))
    surface = PreviewRenderer(SceneSnapshot("mesh", 3, 1, mesh, gaussians=ball()))  # made of the splats
    assert np.array_equal(surface.image(CAMERA, "opacity").rgba, surface.image(CAMERA).rgba)
    with pytest.raises(ValueError, match="unknown display"):
        renderer.image(CAMERA, "x-ray")


def test_exposure_brightens_colours_and_newer_views_interrupt():
    renderer = PreviewRenderer(snapshot())
    assert renderer.image(CAMERA, exposure=1.0).rgba[CENTRE][1] > renderer.image(CAMERA).rgba[CENTRE][1] + 10
    with pytest.raises(Cancelled):
        renderer.image(CAMERA, cancelled=lambda: True)


def test_the_depths_of_most_splats_span_the_colours():
    near, far = PreviewRenderer(snapshot()).depth_range(CAMERA)
    assert near == pytest.approx(4, abs=0.1) and far > near
    away = look_at(np.array([0.0, -4.0, 0.0]), np.array([0.0, -9, 0]), np.array([0.0, 0, 1]), 60.0, 64, 48)
    assert PreviewRenderer(snapshot()).depth_range(away) == (0.0, 1.0)
