"""Ambient occlusion against shapes whose open share is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from engine.errors import Cancelled
from engine.raster.rays import RayCaster
from engine.shading.occlusion import ambient_occlusion


def test_a_convex_body_is_wholly_open():
    ball = trimesh.creation.icosphere(3)
    open_share = ambient_occlusion(RayCaster(ball.vertices, ball.faces), ball.vertices, ball.vertex_normals, rays=64)
    assert open_share.dtype == np.float32 and open_share.min() > 0.97


@pytest.mark.parametrize("half", [0.5, 1.0, 4.0])
def test_under_a_disc_the_cosine_weighted_share_is_that_of_its_solid_angle(half):
    """A parallel disc of radius r at height h covers r^2 / (r^2 + h^2) of a cosine-weighted hemisphere."""
    angle = np.linspace(0, 2 * np.pi, 257)[:-1]
    rim = np.stack([half * np.cos(angle), half * np.sin(angle), np.ones(256)], -1)
    vertices = np.concatenate([[[0, 0, 1]], rim])
    triangles = np.stack([np.zeros(256, int), np.arange(256) + 1, np.roll(np.arange(256), -1) + 1], -1)
    caster = RayCaster(vertices, triangles)
    open_share = ambient_occlusion(caster, np.zeros((50, 3)), np.tile([0.0, 0, 1], (50, 1)), rays=256)
    assert abs(open_share.mean() - 1 / (1 + half**2)) < 2e-3
    assert open_share.std() < 0.01


def test_inside_a_closed_body_nothing_is_open():
    ball = trimesh.creation.icosphere(3)
    open_share = ambient_occlusion(RayCaster(ball.vertices, ball.faces), np.zeros((8, 3)), np.eye(3)[[0, 1, 2, 0] * 2])
    assert not open_share.any()


def test_the_same_seed_gives_the_same_bits_however_the_work_is_cut(monkeypatch):
    ring = trimesh.creation.torus(1.0, 0.4, major_sections=24, minor_sections=12)
    caster = RayCaster(ring.vertices, ring.faces)
    whole = ambient_occlusion(caster, ring.vertices, ring.vertex_normals, rays=16, seed=3)
    monkeypatch.setattr("engine.shading.occlusion.CHUNK", 100)
    cut = ambient_occlusion(caster, ring.vertices, ring.vertex_normals, rays=16, seed=3)
    other = ambient_occlusion(caster, ring.vertices, ring.vertex_normals, rays=16, seed=4)
    assert np.array_equal(whole, cut) and not np.array_equal(whole, other)


def test_it_can_be_stopped():
    ball = trimesh.creation.icosphere(1)
    with pytest.raises(Cancelled):
        ambient_occlusion(RayCaster(ball.vertices, ball.faces), ball.vertices, ball.vertices, cancelled=lambda: True)
