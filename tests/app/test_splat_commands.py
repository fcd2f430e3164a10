"""`export` and `render` on a project of splats and on files of splats; what they refuse."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import trimesh

from engine.exchange.splats import holds_splats, read_splats
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.shading.blackbox import allow_scripts
from tests.app.tiny import unrender
from tests.app.window.drawn_capture import draw_capture

SHORT = ["splats.steps=4", "splats.start=200", "splats.degree=0", "run.evaluate=false"]


@pytest.fixture(scope="module", params=["object", "scene"])
def project(request, tmp_path_factory):
    """A finished run: of a masked object, and of a whole scene in front of nothing."""
    folder = tmp_path_factory.mktemp(request.param)
    capture = draw_capture(folder / "balls", views=4, size=24)
    if request.param == "scene":
        for photo in capture.glob("*.png"):
            cv2.imwrite(str(photo), cv2.imread(str(photo)))  # without alpha
    with Session.create(capture, load_recipe("scene", SHORT), folder / "run", "cpu") as session:
        assert session.run()
    return folder / "run"


def test_export_writes_the_splats_elsewhere(project, tmp_path):
    told = unrender("export", project, "--out", tmp_path / "there")
    assert told.code == 0, told.err
    assert {path.suffix for path in (tmp_path / "there").iterdir()} == {".ply", ".spz", ".html"}
    assert (tmp_path / "there" / "scene.ply").read_bytes() == (project / "exports" / "scene.ply").read_bytes()


def test_export_writes_the_other_formats_of_a_file(project, tmp_path):
    source = project / "exports" / "scene.ply"
    told = unrender("export", source, "--out", tmp_path / "a")
    assert told.code == 0, told.err
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"scene.spz", "scene.html"} and "MB" in told.out
    told = unrender("export", tmp_path / "a" / "scene.spz", "--out", tmp_path / "a", "--overwrite")
    assert told.code == 0, told.err
    back, splats = read_splats(tmp_path / "a" / "scene.ply"), read_splats(source)
    assert len(back) == len(splats) and np.abs(back.means - splats.means).max() < 1e-5
    assert f'"count": {len(splats)},' in (tmp_path / "a" / "scene.html").read_text()


def test_export_of_a_file_says_what_it_needs(project, tmp_path):
    source, mesh = project / "exports" / "scene.ply", tmp_path / "mesh.ply"
    mesh.write_text("ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n")
    for arguments, said in (
        ((source,), "scene.ply: --out is missing"),
        ((source, "--out", tmp_path / "a", "--capture", tmp_path), "has no photos"),
        ((mesh, "--out", tmp_path / "a"), "mesh.ply: it holds no splats"),
        ((source, "--out", tmp_path), "is not empty"),
    ):
        told = unrender("export", *arguments)
        assert told.code == 1 and said in told.err, told.err
    assert not (tmp_path / "a").exists()


def test_render_draws_a_picture_and_a_film(project, tmp_path):
    told = unrender("render", project, "--out", tmp_path / "view.png", "--view", "photo_01.png", "--size", 32)
    assert told.code == 0, told.err
    image = cv2.imread(str(tmp_path / "view.png"))
    assert image.shape == (24, 24, 3) and image.std() > 5
    corner = image[0, 0].astype(int)
    assert (corner > 200).all() if "object" in str(project) else (corner < 230).all()  # white, or as trained
    told = unrender("render", project, "--out", tmp_path / "turn.mp4", "--frames", 2, "--size", 32)
    assert told.code == 0 and (tmp_path / "turn.mp4").stat().st_size > 200


def test_render_draws_files_of_splats(project, tmp_path):
    for suffix in ("ply", "spz"):
        told = unrender("render", project / "exports" / f"scene.{suffix}", "--out", tmp_path / "a.png", "--size", 32)
        assert told.code == 0, told.err
        assert cv2.imread(str(tmp_path / "a.png")).std() > 2


def test_splats_are_told_from_meshes_and_their_light_is_fixed(project, tmp_path):
    splats = project / "exports" / "scene.ply"
    assert holds_splats(splats) and holds_splats(splats.with_suffix(".spz"))
    mesh = tmp_path / "mesh.ply"
    mesh.write_text("ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n f_dc_0")
    assert not holds_splats(mesh) and not holds_splats(tmp_path / "none.ply")
    told = unrender("render", splats, "--out", tmp_path / "a.png", "--environment", tmp_path / "sky.hdr")
    assert told.code == 1 and "whose light is fixed" in told.err
    assert len(read_splats(splats)) <= 200 and np.isfinite(read_splats(splats).means).all()


def test_eval_compares_the_fused_surface_with_a_reference(project, tmp_path):
    told = unrender("eval", project, "--reference", tmp_path / "none.ply")
    assert told.code == 2 and "none.ply: there is no such file" in told.err
    reference = tmp_path / "ball.ply"
    trimesh.creation.icosphere(2, 1.0).export(reference)
    told = unrender("eval", project, "--reference", reference)
    assert told.code == 1 and "splats have no surface" in told.err and "fuse.mesh=true" in told.err
    surface = project / "exports" / "scene-surface.ply"
    try:
        trimesh.creation.icosphere(2, 1.1).export(surface)
        told = unrender("eval", project, "--reference", reference)
    finally:
        surface.unlink(missing_ok=True)
    assert told.code == 0, told.err
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics["chamfer_percent"] == pytest.approx(100 * 0.1 / np.sqrt(12), rel=0.05) and "chamfer 2.8" in told.out


def test_render_and_eval_shade_splats_as_they_were_trained(tmp_path):
    file = tmp_path / "flat.py"
    file.write_text("def shade(surface):\n    return np.full_like(surface.normal, 0.25)\n")
    capture = draw_capture(tmp_path / "balls", views=4, size=24)
    options = [*SHORT, f"shading.file={file}", "optimize.gradient=stochastic"]
    allow_scripts()
    try:
        with Session.create(capture, load_recipe("scene", options), tmp_path / "run", "cpu") as session:
            assert session.run()
    finally:
        allow_scripts(False)
    view = ("--out", tmp_path / "view.png", "--view", "photo_01.png")
    for command in (("render", tmp_path / "run", *view), ("eval", tmp_path / "run")):
        refused = unrender(*command)
        assert refused.code == 2 and "--allow-scripts" in refused.err
        try:
            told = unrender(*command, "--allow-scripts")
        finally:
            allow_scripts(False)
        assert told.code == 0, told.err
    image = cv2.imread(str(tmp_path / "view.png")).astype(int)
    assert np.ptp(image, axis=2).max() <= 1, "one grey before white"
    assert 137 - 2 <= image.min() < 200
