"""Recipe `scene` from the command line: splats of a capture, exported, evaluated, resumed."""

from __future__ import annotations

import os
import signal

import pytest

from engine.exchange.splats import read_splats
from tests.app.test_interruption import KILL, position
from tests.app.test_run import lasting, metrics_of
from tests.app.tiny import PATIENCE, before_step, flags, started, unrender

SCENE = {
    "run.checkpoint_seconds": 0,
    "splats.steps": 120,
    "splats.start": 400,
    "splats.budget": 600,
    "splats.coarse": 0.3,
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def splatted(capture, tmp_path_factory):
    """A finished run of recipe `scene` on the ring; never to be changed."""
    out = tmp_path_factory.mktemp("splatted") / "run"
    told = unrender("run", capture, "--recipe", "scene", "--out", out, *flags(SCENE))
    assert told.code == 0, told.err
    return out, told


def test_a_run_ends_with_files_and_metrics(splatted):
    out, told = splatted
    metrics = metrics_of(out)
    files = {path.name for path in (out / "exports").iterdir()}
    assert {"scene.ply", "scene.spz", "scene.html"} <= files
    assert metrics["psnr"] > 16 and metrics["export_psnr"] > 60 and metrics["steps"] == 120
    splats = read_splats(out / "exports" / "scene.ply")
    assert len(splats) == metrics["primitives"] <= 600
    assert metrics["megabytes"] == pytest.approx(splats.megabytes, abs=1e-3)
    assert f"{len(splats):,} splats" in told.out and "points on the masks' hull" in told.out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_killed_run_ends_with_the_same_splats(splatted, capture, tmp_path):
    arguments = ("run", capture, "--recipe", "scene", "--out", tmp_path / "run", *flags(SCENE))
    process = started(*arguments, first=before_step(51, KILL))
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == -signal.SIGKILL, said
    assert position(tmp_path / "run") == ("splats", 40)
    told = unrender("resume", tmp_path / "run")
    assert told.code == 0, told.err
    assert lasting(tmp_path / "run") == lasting(splatted[0])
    exports = [folder / "exports" / "scene.ply" for folder in (tmp_path / "run", splatted[0])]
    assert exports[0].read_bytes() == exports[1].read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        {"splats.kind": "exponential", "splats.density": "relocation", "splats.background": "white"},
        {"splats.density": "classic", "splats.exposure": "true", "splats.antialiased": "true"},
        {"splats.masks": "ignore", "splats.budget": 300},
        {"splats.budget_megabytes": 0.05},
    ],
)
def test_every_variant_runs_to_its_end(options, capture, tmp_path):
    short = {"splats.steps": 30, "run.evaluate": "false"}
    told = unrender(
        "run", capture, "--recipe", "scene", "--out", tmp_path / "run", *flags({**SCENE, **short, **options})
    )
    assert told.code == 0, told.err
    splats = read_splats(tmp_path / "run" / "exports" / "scene.ply")
    assert splats.kind == options.get("splats.kind", "gaussian")
    assert len(splats) <= options.get("splats.budget", 600) and splats.megabytes <= options.get(
        "splats.budget_megabytes", 9
    )


def test_what_cannot_be_is_said_before_anything_is_made(capture, tmp_path):
    told = unrender("run", capture, "--recipe", "scene", "--out", tmp_path / "run", "--set", "splats.density=best")
    assert told.code == 2 and "splats.density" in told.err and not (tmp_path / "run").exists()
