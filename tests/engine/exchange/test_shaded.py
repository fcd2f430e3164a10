"""Pictures by a shading of the user's own: supersampled, in place of light, and refused where light is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from engine.errors import ExchangeError
from engine.exchange.shaded import ShadedRenderer
from engine.exchange.synthesize import synthesize
from engine.scene import Material, Mesh
from engine.scene.camera import look_at
from engine.shading.blackbox import PythonShading, open_shading

BALL = trimesh.creation.icosphere(2)
MESH = Mesh(BALL.vertices.astype(np.float32), BALL.faces.astype(np.int32))
CAMERA = look_at(np.array([0.0, 0.0, 4.0]), np.zeros(3), np.array([0.0, 1.0, 0.0]), 40.0, 32, 32)


def test_every_pixel_is_the_mean_of_its_samples():
    seen = []

    def halves(surface) -> np.ndarray:
        seen.append(surface)
        return np.where(surface.position[:, :1] > 0, 1.0, 0.0) * np.float32([1, 0.5, 0.25])

    color, alpha = ShadedRenderer(MESH, Material(), PythonShading("halves", halves), samples=4).render(CAMERA)
    assert color.shape == (32, 32, 3) and alpha.max() == 1
    partly = (alpha > 0) & (alpha < 1)
    assert partly.any() and np.allclose(alpha[partly] * 16, np.round(alpha[partly] * 16), atol=1e-5)
    assert color[16, 20] == pytest.approx([1, 0.5, 0.25]) and not color[16, 8].any()
    points = seen[0]
    assert np.abs(np.linalg.norm(points.toward, axis=1) - 1).max() < 1e-5
    assert points.pixel.min() > 0 and points.pixel.max() < 32
    assert ((points.normal * points.position).sum(1) > 0.95).all()


def test_what_is_no_colour_is_black_and_counted():
    def bad(surface) -> np.ndarray:
        return np.where(surface.position[:, :1] > 0, np.float32([np.nan, 1, 1]), np.float32([1, np.inf, 1]))

    renderer = ShadedRenderer(MESH, Material(), PythonShading("bad", bad), samples=2)
    color, alpha = renderer.render(CAMERA)
    assert not color.any() and renderer.not_finite == round(4 * alpha.sum()) > 1000


def test_a_shading_that_reads_the_light_needs_one():
    with pytest.raises(ExchangeError, match="pbr reads the light, and there is none"):
        ShadedRenderer(MESH, Material(), open_shading("pbr"))


def test_a_capture_can_be_drawn_by_a_shading_without_any_light(tmp_path):
    BALL.export(tmp_path / "ball.obj", include_normals=False)
    flat = PythonShading("flat.py", lambda surface: surface.base_color)
    out = synthesize(tmp_path / "ball.obj", None, tmp_path / "out", views=3, size=16, samples=4, shading=flat)
    truth = json.loads((out / "truth" / "truth.json").read_text())
    assert truth["environment"] is None and truth["made_from"]["shading"] == "flat.py"
    assert not (out / "truth" / "environment.hdr").exists() and truth["exposure"] == 1
    with pytest.raises(ExchangeError, match="needs light"):
        synthesize(tmp_path / "ball.obj", None, tmp_path / "dark", views=3, size=16)
