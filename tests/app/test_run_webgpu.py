"""`run --device webgpu`: the whole chain with visibility on the GPU ends where the CPU's does."""

from __future__ import annotations

import json

import pytest

from tests.app.tiny import TINY, flags, unrender


@pytest.mark.slow
def test_a_run_on_webgpu_ends_as_good_as_on_the_cpu(capture, finished, tmp_path):
    told = unrender("run", capture, "--out", tmp_path / "run", "--device", "webgpu", *flags(TINY))
    assert told.code == 0, told.err
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path / "run", finished[0]))
    assert ours["psnr"] > theirs["psnr"] - 0.5 and ours["export_psnr"] > 40
    assert ours["chamfer_percent"] < theirs["chamfer_percent"] * 1.2
