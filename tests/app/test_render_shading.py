"""`render` shows a project's mesh by the shading that it was fitted through, and by the engine's own when asked to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import trimesh

import assets
from engine.exchange.synthesize import synthesize
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.shading.blackbox import open_shading
from tests.app.tiny import unrender

SMALL = ("hull.resolution=16", "cage.faces=100", "cage.texture_size=64", "blackbox.steps=1", "run.evaluate=false")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A mesh before the shading normal_color, whose pictures have nothing to do with the mesh's textures."""
    folder = tmp_path_factory.mktemp("normals")
    trimesh.creation.icosphere(2).export(folder / "ball.obj", include_normals=False)
    shading = open_shading("normal_color")
    capture = synthesize(folder / "ball.obj", None, folder / "capture", views=8, size=32, samples=1, shading=shading)
    recipe = load_recipe("toon", [*SMALL, "shading.name=normal_color", "stages=hull,cage,blackbox"])
    with Session.create(capture, recipe, folder / "run", "cpu") as session:
        assert session.run()
    return folder


def drawn(project, *options) -> np.ndarray:
    """[32,32,3] in [0,1]."""
    told = unrender("render", project / "run", "--out", project / "view.png", "--view", "train/r_001", *options)
    assert told.code == 0, told.err
    return cv2.imread(str(project / "view.png")) / 255


def test_render_shades_a_mesh_as_it_was_fitted(project):
    photo = cv2.imread(str(project / "capture" / "train" / "r_001.png"), cv2.IMREAD_UNCHANGED) / 255
    photo = photo[..., :3] * photo[..., 3:] + 1 - photo[..., 3:]
    inside = cv2.erode((photo < 1).any(-1).astype(np.uint8), np.ones((5, 5))) > 0
    own, other = (
        np.abs(drawn(project, *options) - photo)[inside].mean()
        for options in ((), ("--environment", assets.environment("overcast")))
    )
    assert own < 0.08 and other > 2 * own, (own, other)
