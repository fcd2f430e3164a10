"""`optimize.cameras` from the command line: what a run says of its cameras, and what it leaves of them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.capture import CaptureOptions, open_capture
from tests.app.test_run import lasting, metrics_of
from tests.app.tiny import flags, unrender

SCENE = {"splats.steps": 30, "splats.start": 400, "splats.budget": 600, "splats.coarse": 0.3}

pytestmark = pytest.mark.slow


def test_refined_cameras_are_said_written_and_remembered(capture, tmp_path):
    out, options = tmp_path / "run", {**SCENE, "optimize.cameras": "true"}
    told = unrender("run", capture, "--recipe", "scene", "--out", out, *flags(options))
    assert told.code == 0, told.err
    metrics = metrics_of(out)
    assert metrics["cameras"] == "refined; held-out follow their neighbours"
    given = open_capture(capture)
    moved = open_capture(out / "exports" / "cameras.json", CaptureOptions(allow_outside=True))
    assert (moved.train, moved.test) == (given.train, given.test)
    ways = [
        np.abs(a.camera.position - b.camera.position).max() for a, b in zip(moved.frames, given.frames, strict=True)
    ]
    assert min(ways) > 0 and max(ways) < 0.1
    assert unrender("eval", out).code == 0
    assert lasting(out) == {key: value for key, value in metrics.items() if key in lasting(out)}


def test_cameras_as_given_are_said_and_not_written(capture, tmp_path):
    out = tmp_path / "run"
    told = unrender("run", capture, "--recipe", "scene", "--out", out, *flags({**SCENE, "splats.steps": 2}))
    assert told.code == 0, told.err
    assert metrics_of(out)["cameras"] == "as given"
    assert not (out / "exports" / "cameras.json").exists()
