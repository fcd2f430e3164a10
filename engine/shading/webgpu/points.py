"""The radiance of listed surface points by any WGSL shading: for tests, and for trying a shading before it is used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.kernels.webgpu import Gpu
from engine.kernels.wgsl import compose
from engine.shading.points import SurfacePoints
from engine.shading.webgpu.light import GpuLight

WORKGROUP = 64


def shade_points(
    gpu: Gpu,
    points: SurfacePoints,
    light: GpuLight | None = None,  # None: for a shading that does not include environment.wgsl
    shading: str = "pbr",  # name of a shader that provides `shade`
    sources: Mapping[str, str] | None = None,  # further sources by name; {"shading": text} is the user's own
) -> np.ndarray:
    """[P,3] linear radiance toward the camera. Raises ShaderError, DeviceError."""
    rows = points.packed()
    sources = {"shading": f"// Provides: the chosen shading.\n#include {shading}\n", **(sources or {})}
    pipeline = gpu.compute(compose("shade_points", sources=sources), "shade_points")
    out = gpu.buffer(len(rows) * 16)
    groups = [gpu.bind(pipeline, [gpu.buffer(rows), out])]
    if light is not None:
        groups.append(gpu.bind(pipeline, light.bindings, 1))
    encoder = gpu.encoder()
    gpu.dispatch(encoder, pipeline, groups, -(-len(rows) // WORKGROUP))
    readback = gpu.readback(encoder, out, np.float32, (len(rows), 4))
    gpu.submit(encoder)
    return np.ascontiguousarray(readback.array()[:, :3])
