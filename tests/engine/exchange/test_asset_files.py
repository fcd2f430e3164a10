"""All files of an asset appear together, checked, or none does; the child process does the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from engine.errors import Cancelled, ExchangeError
from engine.exchange.asset_child import export_in_child
from engine.exchange.asset_files import AssetScene, asset_facts, estimated_sizes, write_asset_files
from engine.scene import Environment, Material, Mesh


@pytest.fixture(scope="module")
def scene() -> AssetScene:
    ball = trimesh.creation.icosphere(subdivisions=2)
    mesh = Mesh(np.asarray(ball.vertices, np.float32), np.asarray(ball.faces, np.int32))
    return AssetScene(mesh, None, Environment(np.full((8, 16, 3), 0.7, np.float32)), np.array([0.0, 0.0, 1.0]))


def test_every_format_is_written_and_draws_as_it_did(scene, tmp_path):
    report = write_asset_files(tmp_path / "new" / "out", "ball", ("glb", "obj", "ply", "hdr"), scene)
    files = {path.name for path in report.folder.iterdir()}
    assert files == {"ball.glb", "ball.obj", "ball.mtl", "ball.ply", "ball_light.hdr"} == set(report.sizes)
    assert report.psnr > 40 and report.thumbnail.shape == (256, 256, 4)
    assert all((report.folder / name).stat().st_size == size for name, size in report.sizes.items())


def test_a_place_that_cannot_be_written_is_named_and_left_as_it_was(scene, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ExchangeError, match="file"):
        write_asset_files(tmp_path / "file" / "out", "ball", ("glb",), scene)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_a_files_place_leaves_the_others_as_they_were(scene, tmp_path):
    (tmp_path / "ball.ply").mkdir()
    (tmp_path / "ball.glb").write_text("old")
    with pytest.raises(ExchangeError, match="folder"):
        write_asset_files(tmp_path, "ball", ("glb", "ply"), scene)
    assert (tmp_path / "ball.glb").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"ball.glb", "ball.ply"}


@pytest.mark.slow
def test_a_child_exports_the_same_bytes_and_tells_how_far_it_is(scene, tmp_path):
    write_asset_files(tmp_path / "here", "ball", ("glb", "hdr"), scene)
    said = []
    report = export_in_child(tmp_path / "child", "ball", ("glb", "hdr"), scene, lambda done, text: said.append(text))
    for name in ("ball.glb", "ball_light.hdr"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "child" / name).read_bytes()
    assert report.psnr > 40 and report.thumbnail is not None and "reading the files back" in said


def test_a_cancelled_export_ends_its_child_and_leaves_nothing(scene, tmp_path, monkeypatch):
    begun, popen = [], subprocess.Popen

    def endless(command, **more):  # in the child's place, so that it is not done before it is cancelled
        begun.append(popen([sys.executable, "-c", "import time\nwhile True: time.sleep(1)"], **more))
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", endless)
    with pytest.raises(Cancelled):
        export_in_child(tmp_path / "out", "ball", ("glb",), scene, cancelled=lambda: True)
    assert len(begun) == 1 and begun[0].returncode and not (tmp_path / "out").exists()


def test_a_child_says_what_is_wrong_with_the_place(scene):
    with pytest.raises(ExchangeError, match="version"):
        export_in_child(Path("/proc/version/out"), "ball", ("glb",), scene)


def test_facts_name_axes_units_and_what_is_missing(scene):
    facts = asset_facts(scene)
    assert "+Y" in facts["Axes"] and "320" in facts["Faces"] and "None yet" in facts["Textures"]
    textured = Mesh(scene.mesh.vertices, scene.mesh.triangles, scene.mesh.vertices[:, :2], scene.mesh.triangles)
    white = np.ones((64, 32, 3), np.float32)
    facts = asset_facts(AssetScene(textured, Material(white, white), None, scene.up))
    assert "32 x 64" in facts["Textures"] and "sRGB" in facts["Colour"]
    assert "hdr" not in estimated_sizes(AssetScene(textured, Material(white, white), None, scene.up))
