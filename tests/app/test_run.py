"""`run`, `resume`, `eval`, `export`, `render`: what a run writes, and that going on with it ends the same."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from engine.exchange.atomic import write_error
from tests.app.tiny import HULL_ONLY, TINY, content, flags, unrender

STAGES = ["hull", "volume", "stereo", "shape", "mesh", "refine", "export"]
VARYING = ("seconds", "stages", "peak_memory_mb")  # what differs between runs that are the same


def metrics_of(project: Path) -> dict:
    return json.loads((project / "metrics.json").read_text())


def lasting(project: Path) -> dict:
    """The metrics that must be the same bits whatever interrupted a run."""
    return {key: value for key, value in metrics_of(project).items() if key not in VARYING}


def checkpoints(project: Path) -> list[Path]:
    return sorted((project / "checkpoints").glob("*.json"))


def test_a_run_writes_the_asset_and_every_metric(finished):
    project, told = finished
    metrics = metrics_of(project)
    for key in ("psnr", "ssim", "flip", "psnr_masked", "hull_psnr", "export_psnr", "seconds", "peak_memory_mb"):
        assert isinstance(metrics[key], float) and metrics[key] > 0, key
    for key in ("chamfer_percent", "hull_chamfer_percent", "fscore_1_percent", "normal_consistency"):
        assert isinstance(metrics[key], float) and metrics[key] > 0, key
    for key in ("base_color_psnr", "roughness_rmse", "metallic_rmse"):
        assert isinstance(metrics[key], float), key
    assert [stage["name"] for stage in metrics["stages"]] == STAGES
    assert all(set(stage) == {"name", "steps", "seconds"} for stage in metrics["stages"])
    assert metrics["steps"] == sum(stage["steps"] for stage in metrics["stages"]) == 140
    assert sum(stage["seconds"] for stage in metrics["stages"]) < metrics["seconds"]
    assert [set(view) >= {"name", "psnr", "ssim", "flip", "psnr_masked"} for view in metrics["per_view"]] == [True] * 2
    assert metrics["psnr"] == pytest.approx(np.mean([view["psnr"] for view in metrics["per_view"]]))
    assert 0 < metrics["faces"] == metrics["mesh_quality"]["faces"] <= TINY["mesh.faces"]
    assert metrics["export_psnr"] > 35
    names = {path.name for path in (project / "exports").iterdir()}
    assert {"asset.glb", "asset.obj", "asset.mtl", "asset.ply", "environment.hdr"} <= names
    assert len(checkpoints(project)) == 2 and not list(project.rglob("*.partial"))
    assert len(trimesh.load(project / "exports" / "asset.glb", force="mesh").faces) == metrics["faces"]


def test_a_run_speaks_plain_lines_where_there_is_no_terminal(finished):
    _, told = finished
    assert "\x1b" not in told.out and "\r" not in told.out and told.err == ""
    assert "stage 2 of 7: volume" in told.out and "steps/s" in told.out and "dB, hull" in told.out


def test_the_project_says_how_it_was_made(finished, capture):
    text = (finished[0] / "project.toml").read_text()
    assert str(capture) in text and "# steps; 0 leaves the hull as it is (steps; at least 0)" in text


def test_resuming_a_finished_run_changes_nothing(finished, copied):
    project = copied(finished[0])
    before = metrics_of(project)
    assert unrender("resume", project).code == 0
    after = metrics_of(project)
    assert lasting(project) == lasting(finished[0]) and after["seconds"] == before["seconds"]


@pytest.mark.slow
def test_resume_without_a_checkpoint_starts_over_with_the_same_result(finished, copied):
    project = copied(finished[0])
    shutil.rmtree(project / "checkpoints")
    (project / "metrics.json").unlink()
    told = unrender("resume", project)
    assert told.code == 0 and "stage 1 of 7: hull" in told.out
    assert lasting(project) == lasting(finished[0])
    assert (project / "exports" / "asset.glb").read_bytes() == (finished[0] / "exports" / "asset.glb").read_bytes()


def test_a_corrupt_checkpoint_falls_back_to_the_one_before(finished, copied):
    project = copied(finished[0])
    newest = checkpoints(project)[-1].with_suffix(".safetensors")
    newest.write_bytes(newest.read_bytes()[:-100])
    (project / "metrics.json").unlink()
    told = unrender("resume", project)
    assert told.code == 0 and "truncated" in told.out and "checkpoint before it" in told.out
    assert "stage 7 of 7: export" in told.out, "the one before is from before the export"
    assert lasting(project) == lasting(finished[0])


def test_no_readable_checkpoint_is_an_error(finished, copied):
    project = copied(finished[0])
    for manifest in checkpoints(project):
        manifest.write_text("{")
    before = content(project)
    told = unrender("resume", project)
    assert told.code == 1 and "no checkpoint can be read" in told.err and "--overwrite" in told.err
    assert content(project) == before


def test_resume_may_change_live_options_only(finished, copied):
    project = copied(finished[0])
    told = unrender("resume", project, "--set", "hull.resolution=32")
    assert told.code != 0 and "hull.resolution" in told.err


def test_a_used_folder_is_refused_without_overwrite(finished, capture, copied):
    project = copied(finished[0])
    before = content(project)
    told = unrender("run", capture, "--out", project, *flags(HULL_ONLY))
    assert told.code == 1 and "not empty" in told.err and "--overwrite" in told.err
    assert content(project) == before
    assert unrender("run", capture, "--out", project, "--overwrite", "--seed", 7, *flags(HULL_ONLY)).code == 0
    assert not (project / "metrics.json").exists() and not list((project / "exports").iterdir())
    assert "seed = 7" in (project / "project.toml").read_text()


def test_overwrite_spares_files_that_are_not_its_own(capture, tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    told = unrender("run", capture, "--out", tmp_path, "--overwrite", *flags(HULL_ONLY))
    assert told.code == 1 and "no Unrender project" in told.err
    assert content(tmp_path) == {"letters.txt": b"dear"}


@pytest.mark.slow
def test_refine_starts_from_a_given_mesh(capture, inputs, tmp_path):
    options = {key: value for key, value in TINY.items() if not key.startswith(("hull", "volume", "stereo", "shape"))}
    told = unrender(
        *("run", capture, "--recipe", "refine", "--out", tmp_path / "run", "--set"),
        *(f"refine.mesh={inputs / 'ring.obj'}", *flags(options)),
    )
    assert told.code == 0, told.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["chamfer_percent"] < 2 and metrics["hull_psnr"] > 0 and metrics["steps"] == 40


def test_refine_without_a_mesh_says_how_to_give_it(capture, tmp_path):
    told = unrender("run", capture, "--recipe", "refine", "--out", tmp_path / "run")
    assert told.code == 2 and "--set refine.mesh=FILE" in told.err and not (tmp_path / "run").exists()
    told = unrender("run", capture, "--recipe", "refine", "--out", tmp_path / "run", "--set", "refine.mesh=none.glb")
    assert told.code == 1 and "none.glb" in told.err and not (tmp_path / "run").exists()


def test_eval_takes_another_reference(finished, copied, inputs):
    project = copied(finished[0])
    mesh = trimesh.load(inputs / "ring.obj", force="mesh")
    mesh.apply_translation([0.5, 0, 0])
    mesh.export(project / "moved.ply")
    told = unrender("eval", project, "--reference", project / "moved.ply")
    assert told.code == 0 and "chamfer" in told.out
    before, after = metrics_of(finished[0]), metrics_of(project)
    assert after["chamfer_percent"] > before["chamfer_percent"] and after["psnr"] == before["psnr"]
    assert after["seconds"] == before["seconds"] and after["peak_memory_mb"] == before["peak_memory_mb"]
    assert after["hull_resolution"] == before["hull_resolution"] == TINY["hull.resolution"]
    trimesh.Trimesh(np.zeros((3, 3)), [[0, 1, 2]], process=False).export(project / "flat.ply")
    for name, code in (("none.ply", 2), ("flat.ply", 1)):
        told = unrender("eval", project, "--reference", project / name)
        assert told.code == code and name in told.err
    assert metrics_of(project) == after


def test_export_writes_the_same_asset_elsewhere(finished, copied, tmp_path):
    told = unrender("export", copied(finished[0]), "--out", tmp_path / "elsewhere")
    assert told.code == 0
    written, original = tmp_path / "elsewhere" / "asset.glb", finished[0] / "exports" / "asset.glb"
    assert written.read_bytes() == original.read_bytes()
    (tmp_path / "elsewhere" / "asset.glb").write_text("mine")
    told = unrender("export", finished[0], "--out", tmp_path / "elsewhere")
    assert told.code == 1 and "elsewhere: is not empty" in told.err and written.read_text() == "mine"
    left = tmp_path / "elsewhere" / ".asset_base_color.7-0.tmp.png"  # by a process that was killed
    left.write_text("half")
    told = unrender("export", tmp_path / "copy", "--out", tmp_path / "elsewhere", "--overwrite")
    assert told.code == 0 and written.read_bytes() == original.read_bytes() and not left.exists()


def test_a_picture_of_a_photos_view_resembles_the_photo(finished, capture, tmp_path):
    told = unrender("render", finished[0], "--out", tmp_path / "view.png", "--view", "test/r_000")
    assert told.code == 0, told.err
    image = np.asarray(Image.open(tmp_path / "view.png").convert("RGB"), float) / 255
    photo = Image.open(capture / "test" / "r_000.png")
    white = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo.convert("RGBA")).convert("RGB")
    psnr = -10 * np.log10(((image - np.asarray(white, float) / 255) ** 2).mean())
    assert psnr == pytest.approx(metrics_of(finished[0])["per_view"][0]["psnr"], abs=0.1)


def test_a_turntable_of_a_project_and_a_picture_of_a_file(finished, inputs, tmp_path):
    told = unrender("render", finished[0], "--out", tmp_path / "turn.mp4", "--frames", 4, "--size", 64)
    assert told.code == 0 and (tmp_path / "turn.mp4").stat().st_size > 500 and "\r" not in told.out
    asset, sky = finished[0] / "exports" / "asset.glb", inputs / "sky.hdr"
    told = unrender("render", asset, "--out", tmp_path / "file.png", "--size", 64, "--environment", sky)
    assert told.code == 0
    image = np.asarray(Image.open(tmp_path / "file.png"))
    assert image.shape[:2] == (64, 64) and image.std() > 5


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--out", "x.gif"), ".png for a picture"),
        (("--out", "x.png", "--view", "nobody"), "no photo"),
        (("--out", "x.png", "--environment", "none.hdr"), "none.hdr"),
        (("--out", "x.png", "--size", 0), "at least 1"),
        (("--out", "x.mp4", "--frames", -1), "at least 1"),
    ],
)
def test_render_says_what_is_wrong(finished, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    told = unrender("render", finished[0], *arguments)
    assert told.code == 1 and words in told.err and len(told.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_view_is_named_in_full_or_in_short(finished, tmp_path):
    name, pictures = metrics_of(finished[0])["per_view"][0]["name"], set()
    for view in (name, f"{name.removesuffix('.png')}.png", Path(name).stem):
        told = unrender("render", finished[0], "--out", tmp_path / "view.png", "--view", view)
        assert told.code == 0 and not told.err, told.err
        pictures.add((tmp_path / "view.png").read_bytes())
    assert len(pictures) == 1
    unused = ("--size", 64, "--frames", 3)
    told = unrender("render", finished[0], "--out", tmp_path / "view.png", "--view", name, *unused)
    assert "--size 64 is not used" in told.err and "--frames 3 is not used" in told.err


@pytest.mark.parametrize("command", ["resume", "eval", "export"])
def test_commands_on_a_folder_without_a_project(tmp_path, command):
    told = unrender(command, tmp_path)
    assert told.code == 1 and "there is no project.toml here" in told.err and not list(tmp_path.iterdir())
    assert "had not written anything: give its command again" in told.err  # a run killed early


def test_a_lost_asset_is_written_again_by_export(finished, copied):
    project = copied(finished[0])
    (project / "exports" / "asset.glb").unlink()
    for command in ("eval", "resume"):
        told = unrender(command, project)
        assert told.code == 1 and told.err.endswith(f"export again (unrender export {project})\n")
    assert unrender("export", project).code == 0
    told = unrender("eval", project)
    assert told.code == 0, told.err


def test_a_full_disk_within_a_run_says_how_to_go_on(finished, copied, monkeypatch):
    def full(*_):
        raise write_error(Path("asset.glb"), OSError(errno.ENOSPC, "no space left"))

    project = copied(finished[0])
    monkeypatch.setattr("engine.optimize.evaluate.evaluate_session", full)
    told = unrender("resume", project)
    assert told.code == 1 and f"the disk is full; free some space and go on with: unrender resume {project}" in told.err
    monkeypatch.setattr("engine.optimize.export_scene.write_glb", full)
    told = unrender("export", project)
    assert told.code == 1 and told.err.endswith("the disk is full; free some space and do it again\n")


def test_commands_on_a_run_that_has_not_come_far(capture, tmp_path):
    told = unrender("run", capture, "--out", tmp_path / "run", *flags(HULL_ONLY))
    assert told.code == 0 and told.out.endswith(f"wrote {tmp_path / 'run'}\n")  # no exports
    for command in (["eval"], ["export"], ["render", "--out", tmp_path / "x.png"]):
        told = unrender(command[0], tmp_path / "run", *command[1:])
        assert told.code == 1 and len(told.err.splitlines()) == 1, told.err
    assert not (tmp_path / "x.png").exists()
