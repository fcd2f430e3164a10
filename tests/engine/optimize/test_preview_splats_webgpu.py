"""Splats drawn by WGSL for the view: what the processor shows, in every display, and what happens when that fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.kernels.adapters import adapters
from engine.kernels.webgpu import DeviceLost, Gpu
from engine.optimize.displays import SPLAT_DISPLAYS
from engine.optimize.preview import PreviewRenderer
from engine.optimize.preview_webgpu import PreviewDevice, WebGpuPreview
from engine.optimize.snapshot import SceneSnapshot, SplatLook
from engine.splats.numba_splatter import NumbaSplatter
from engine.splats.webgpu_passes import SplatPasses
from tests.engine.splats.scenes import camera, scene

CAMERA = camera(64, 48)
pytestmark = pytest.mark.skipif(not adapters(), reason="no WebGPU adapter")


@pytest.fixture(scope="module")
def device() -> PreviewDevice:
    return PreviewDevice(Gpu())


def snapshot(kind="gaussian", version=1) -> SceneSnapshot:
    splats = replace(scene(kind, 60, 2, seed=version), antialiased=kind != "surface")
    return SceneSnapshot("splats", 3, version, gaussians=splats, splat_look=SplatLook((0.2, 0.4, 0.6)))


def forbid(monkeypatch) -> None:
    """Have numba draw no more."""

    def refuse(*_):
        raise AssertionError("drawn on the processor")

    monkeypatch.setattr(NumbaSplatter, "render", refuse)


@pytest.mark.parametrize("kind", ["gaussian", "exponential", "surface"])
def test_every_display_is_the_processors(kind, device, monkeypatch):
    shown = snapshot(kind)
    truth = {display: PreviewRenderer(shown).image(CAMERA, display, exposure=0.5) for display in SPLAT_DISPLAYS}
    forbid(monkeypatch)
    ours = WebGpuPreview(shown, device)
    for display, expected in truth.items():
        image = ours.image(CAMERA, display, exposure=0.5)
        assert np.abs(image.rgba.astype(int) - expected.rgba).max() <= 2, display
        np.testing.assert_allclose(image.depth, expected.depth, rtol=1e-4)
        assert image.depth_range == expected.depth_range


def test_splats_cross_over_once_until_others_are_shown(device, monkeypatch):
    sent = []
    filled = SplatPasses._input

    def noted(self, name, data):
        sent.extend([name] if self._sent.get(name) is not data else [])
        return filled(self, name, data)

    monkeypatch.setattr(SplatPasses, "_input", noted)
    first, second = WebGpuPreview(snapshot(version=5), device), WebGpuPreview(snapshot(version=6), device)
    pictures = [first.image(CAMERA, display).rgba for display in ("shaded", "normal", "shaded")]
    assert sent == ["geometry", "harmonics"] and np.array_equal(pictures[0], pictures[2])
    other = second.image(CAMERA).rgba
    assert len(sent) == 4 and not np.array_equal(other, pictures[0])
    assert np.array_equal(first.image(CAMERA).rgba, pictures[0]) and len(sent) == 6


def test_too_much_for_the_device_is_drawn_on_the_processor(device, monkeypatch):
    shown = snapshot(version=7)
    monkeypatch.setitem(device.gpu.limits, "max-storage-buffer-binding-size", 4096)
    image = WebGpuPreview(shown, device).image(CAMERA)
    assert np.array_equal(image.rgba, PreviewRenderer(shown).image(CAMERA).rgba)


def test_a_lost_device_is_said():
    own = PreviewDevice(Gpu())
    renderer = WebGpuPreview(snapshot(), own)
    renderer.image(CAMERA)
    own.gpu.destroy()
    for _ in range(2):
        with pytest.raises(DeviceLost):
            renderer.image(CAMERA)
    assert renderer.render(CAMERA)[1].shape == CAMERA.size  # numbers come from the processor
