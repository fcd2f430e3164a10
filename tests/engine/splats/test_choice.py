"""Which implementation trains splats on which device."""

from __future__ import annotations

import pytest

from engine import splats
from engine.device import Device


@pytest.mark.parametrize(
    ("torch_device", "rasterizer", "gaussian", "installed", "expected"),
    [
        ("cpu", "numba", True, True, "numba"),
        ("cpu", "webgpu", False, True, "webgpu"),
        ("cuda", "nvdiffrast", True, True, "gsplat"),
        ("cuda", "webgpu", True, True, "gsplat"),
        ("cuda", "webgpu", False, True, "webgpu"),
        ("cuda", "reference", True, False, "numba"),
        ("cuda", "webgpu", True, False, "webgpu"),
    ],
)
def test_gsplat_comes_first_on_cuda_then_wgsl(torch_device, rasterizer, gaussian, installed, expected, monkeypatch):
    monkeypatch.setattr(splats, "find_spec", lambda name: object() if installed and name == "gsplat" else None)
    assert splats.splatter_on(Device(torch_device, rasterizer), gaussian) == expected
