"""The radiance of listed surface points by any WGSL shading: for tests, and for trying a shading before it is used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.kernels.webgpu import Gpu
from engine.kernels.wgsl import compose
from engine.shading.points import SurfacePoints
from engine.shading.webgpu.light import GpuLight

WORKGROUP = 64
CHUNK = 64 * 2**20  # bytes of points on the device at once


def shade_points(
    gpu: Gpu,
    points: SurfacePoints,
    light: GpuLight | None = None,  # None: for a shading that does not include environment.wgsl
    shading: str = "pbr",  # name of a shader that provides `shade`
    sources: Mapping[str, str] | None = None,  # further sources by name; {"shading": text} is the user's own
) -> np.ndarray:
    """[P,3] linear radiance toward the camera. Raises ShaderError, DeviceError."""
    sources = {"shading": f"// Provides: the chosen shading.\n#include {shading}\n", **(sources or {})}
    pipeline = gpu.compute(compose("shade_points", sources=sources), "shade_points")
    rows, radiance = points.packed(), np.empty((len(points.normal), 3), np.float32)
    most = max(min(gpu.limits["max-storage-buffer-binding-size"], CHUNK) // rows.strides[0], 1)
    for first in range(0, len(rows), most):
        part = rows[first : first + most]
        out = gpu.buffer(len(part) * 16)
        groups = [gpu.bind(pipeline, [gpu.buffer(part), out])]
        if light is not None:
            groups.append(gpu.bind(pipeline, light.bindings, 1))
        encoder = gpu.encoder()
        gpu.dispatch(encoder, pipeline, groups, -(-len(part) // WORKGROUP))
        readback = gpu.readback(encoder, out, np.float32, (len(part), 4))
        gpu.submit(encoder)
        radiance[first : first + most] = readback.use(lambda values: values[:, :3].copy())
    return radiance
