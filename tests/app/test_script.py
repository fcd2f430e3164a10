"""`unrender script`: the examples and small scripts, headless, on a tiny capture."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import assets
from engine.optimize.project import Project
from engine.optimize.recipe import Recipe
from tests.app.tiny import flags, unrender
from tests.app.window.drawn_capture import RECIPE, draw_capture

SHORT = RECIPE | {"volume.steps": 0, "shape.steps": 16, "shape.mask_steps": 4, "refine.steps": 8}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Ten masked photos of 48 px; never to be changed."""
    return draw_capture(tmp_path_factory.mktemp("drawn") / "balls")


@pytest.fixture
def run(tmp_path, photos):
    """`run(text)` runs a script on the photos, `out` being a folder of this test."""

    def script(text: str, *more: object, start: tuple | None = None):
        file = tmp_path / "script.py"
        file.write_text(text)
        start = ("--capture", photos, "--out", tmp_path / "out", *flags(SHORT)) if start is None else start
        return unrender("script", file, *start, *more)

    return script


def example(name: str, photos: Path, out: Path):
    path = next(path for path in assets.scripts() if path.stem == name)
    return unrender("script", path, "--capture", photos, "--out", out, *flags(SHORT))


@pytest.mark.slow
def test_the_sweep_writes_a_table_and_curves(photos, tmp_path):
    told = example("sweep", photos, tmp_path / "out")
    assert told.code == 0, told.err
    with open(tmp_path / "out" / "sweep.csv") as file:
        head, *rows = csv.reader(file)
    assert head[:2] == ["refine.ssim", "psnr"] and [float(row[0]) for row in rows] == [0, 0.1, 0.4]
    assert all(float(row[1]) > 5 for row in rows)
    with open(tmp_path / "out" / "curves.csv") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) >= 3 * (16 + 8) and {row["stage"] for row in curves} >= {"shape", "refine"}
    assert Project.open(tmp_path / "out" / "refine.ssim 0.4", Recipe, lock=False).recipe.refine.ssim == 0.4


@pytest.mark.slow
def test_the_custom_loss_counts_and_is_in_the_history(photos, tmp_path):
    told = example("custom_loss", photos, tmp_path / "out")
    assert told.code == 0, told.err
    assert "edges went from" in told.out and (tmp_path / "out" / "run" / "exports" / "asset.glb").exists()
    history = Project.open(tmp_path / "out" / "run", Recipe, lock=False).history
    assert [(entry.kind, entry.key, entry.value) for entry in history] == [("loss", "edges", 0.5)]


@pytest.mark.slow
def test_the_turntable_is_filmed(photos, tmp_path):
    told = example("auto_turntable", photos, tmp_path / "out")
    assert told.code == 0, told.err
    assert (tmp_path / "out" / "finished.mp4").stat().st_size > 10_000


def test_a_script_reads_changes_and_steps(run):
    told = run(
        "recipe.shape.smoothness = 0.5\n"
        "report = step(6)  # three stages without steps come first\n"
        "assert window is None and report.stage == 'shape', report\n"
        "assert session.total_step == report.total_step == metrics()['total_step']\n"
        "set_option('shape.mask', 3.0)\n"
        "kind = type(scene.mesh.vertices).__name__\n"
        "print(recipe['shape.mask'], recipe.shape.smoothness, kind, capture.up.tolist())\n"
        "print(call(lambda session: session.stage.name), len(capture.frames), capture.pixels(0).color.shape)\n"
    )
    assert told.code == 0, told.err
    assert told.out.splitlines() == ["3.0 0.5 ndarray [0.0, 0.0, 1.0]", "shape 10 (48, 48, 3)"]


def test_a_project_is_gone_on_with(run, tmp_path):
    assert run("step(5)").code == 0
    told = run("print(session.total_step)\nrun(until=8)", start=("--project", tmp_path / "out" / "run"))
    assert told.code == 0 and told.out.strip() == "2", told.err
    told = run("print(session.total_step)", start=("--project", tmp_path / "out" / "run"))
    assert told.out.strip() == "8"


def test_a_script_that_raises_says_file_line_and_message(run, tmp_path):
    told = run("def f():\n    return {}['gone']\n\nprint('before')\nf()\n")
    assert told.code == 1 and told.out == "before\n"
    assert told.err.splitlines()[-1] == f"error: {tmp_path / 'script.py'}, line 2: KeyError: 'gone'"
    told = run("x = (1\n")
    assert told.code == 1 and "line 1: SyntaxError" in told.err
    assert not (tmp_path / "out").exists()  # nothing ran


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("set_option('refine.sim', 1)", "did you mean 'refine.ssim'"),
        ("recipe.refine.ssim = 'much'", "refine.ssim"),
        ("step()\nset_option('run.seed', 3)", "cannot change once the run has begun"),
        ("session.total_step", "there is no run yet"),
        ("step()\nsession.total_step = 3", "cannot be set from here"),
        ("turntable('film.gif')", "ends in .mp4"),
        ("step()\nexport()", "no textured mesh"),
        ("add_loss('color', len, 1.0)", None),
        ("step()\nadd_loss('color', len, 1.0)", "choose another name"),
    ],
)
def test_mistakes_are_said_in_words(run, text, said):
    told = run(text)
    assert told.code == (0 if said is None else 1)
    assert said is None or said in told.err.splitlines()[-1]


def test_a_custom_loss_that_fails_is_dropped_and_the_run_goes_on(run):
    told = run(
        "add_loss('odd', lambda image, photo: image.mean() / 0 if image.shape[2] == 4 else 1, 1.0)\n"
        "add_loss('nan', lambda image, photo: (image.mean() * float('nan')), 1.0)\n"
        "add_loss('text', lambda image, photo: 'high', 1.0)\n"
        "add_loss('good', lambda image, photo: (image - photo).square().mean(), 2.0)\n"
        "report = step(8)\n"
        "print(sorted(set(report.terms) & {'odd', 'nan', 'text', 'good'}), report.loss > 0)\n"
    )
    assert told.code == 0, told.err
    assert told.out.strip() == "['good'] True"
    assert all(f"loss {name} no longer counts" in told.err for name in ("odd", "nan", "text"))


def test_wrong_arguments_are_refused(run, tmp_path, photos):
    assert "exclude each other" in run("", "--project", tmp_path).err
    told = unrender("script", tmp_path / "none.py", "--capture", photos)
    assert told.code == 1 and "none.py" in told.err
    told = run("step()", start=())
    assert told.code == 1 and "--capture" in told.err
