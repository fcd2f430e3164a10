"""Our own files drawn and lit by the command line: upright, whatever axis their capture had up."""

from __future__ import annotations

import numpy as np
from PIL import Image

from engine.exchange import read_mesh, write_glb
from engine.scene import Material, Mesh
from engine.scene.conventions import gltf_from_capture
from tests.app.tiny import unrender


def test_an_asset_of_a_capture_with_another_up_is_drawn_upright(inputs, tmp_path):
    ring, up = read_mesh(inputs / "ring.obj"), np.array([0.0, 0.0, 1.0])
    turned = Mesh((ring.vertices @ gltf_from_capture(up)).astype(np.float32), ring.triangles)
    write_glb(tmp_path / "y.glb", ring, Material())
    write_glb(tmp_path / "z.glb", turned, Material(), up)
    pictures = []
    for name in "yz":
        out = tmp_path / f"{name}.png"
        told = unrender(
            *("render", tmp_path / f"{name}.glb", "--out", out, "--size", 48),
            *("--environment", inputs / "sky.hdr"),
        )
        assert told.code == 0, told.err
        pictures.append(np.asarray(Image.open(out)).astype(float))
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.5 and pictures[0].std() > 20
