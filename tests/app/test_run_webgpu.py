"""`run --device webgpu`: the whole chain with visibility on the GPU ends where the CPU's does."""

from __future__ import annotations

import json

import pytest
import trimesh

from tests.app.tiny import TINY, flags, unrender


@pytest.mark.slow
def test_a_run_on_webgpu_ends_as_good_as_on_the_cpu(capture, finished, tmp_path):
    told = unrender("run", capture, "--out", tmp_path / "run", "--device", "webgpu", *flags(TINY))
    assert told.code == 0, told.err
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path / "run", finished[0]))
    assert ours["psnr"] > theirs["psnr"] - 0.5 and ours["export_psnr"] > 40
    assert ours["chamfer_percent"] < theirs["chamfer_percent"] * 1.2


@pytest.mark.slow
def test_stochastic_gradients_on_webgpu_end_as_good_as_analytic_ones(inputs, capture, tmp_path):
    """From a ring that is too thick, which the photos see at 20 dB."""
    ring = trimesh.load(inputs / "ring.obj", process=False)
    thick = trimesh.Trimesh(ring.vertices + 0.06 * ring.vertex_normals, ring.faces, process=False)
    thick.export(tmp_path / "thick.ply")
    tiny = {"refine.mesh": tmp_path / "thick.ply", "refine.steps": 60, "mesh.texture_size": 64, "export.obj": "false"}
    chosen = {"analytic": ("--device", "cpu"), "stochastic": ("--device", "webgpu")}
    found = {}
    for gradient, device in chosen.items():
        told = unrender(
            *("run", capture, "--recipe", "refine", "--out", tmp_path / gradient, *device),
            *flags(tiny | {"optimize.gradient": gradient}),
        )
        assert told.code == 0, told.err
        found[gradient] = json.loads((tmp_path / gradient / "metrics.json").read_text())["psnr"]
    assert found["stochastic"] > found["analytic"] - 1.5 and found["stochastic"] != found["analytic"]
    assert min(found.values()) > 25
