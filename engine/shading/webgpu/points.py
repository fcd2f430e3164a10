"""The radiance of listed surface points by any WGSL shading: for tests, and for trying a shading before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.kernels.webgpu import Gpu
from engine.kernels.wgsl import compose
from engine.shading.webgpu.light import GpuLight

WORKGROUP = 64


@dataclass(frozen=True)
class SurfacePoints:
    """P points as surface.wgsl describes them; what is None is 0, or 1 for occlusion. All float32."""

    normal: np.ndarray  # [P,3] world
    toward: np.ndarray  # [P,3] world, unit
    base_color: np.ndarray  # [P,3] linear
    roughness: np.ndarray  # [P]
    metallic: np.ndarray  # [P]
    occlusion: np.ndarray | None = None  # [P]
    position: np.ndarray | None = None  # [P,3] world
    uv: np.ndarray | None = None  # [P,2]
    pixel: np.ndarray | None = None  # [P,2]

    def packed(self) -> np.ndarray:
        """[P,20] float32 as shade_points.wgsl reads them."""
        rows = np.zeros((len(self.normal), 20), np.float32)
        columns = (
            (slice(0, 3), self.position),
            (3, self.roughness),
            (slice(4, 7), self.normal),
            (7, self.metallic),
            (slice(8, 11), self.toward),
            (11, 1.0 if self.occlusion is None else self.occlusion),
            (slice(12, 15), self.base_color),
            (slice(16, 18), self.uv),
            (slice(18, 20), self.pixel),
        )
        for place, values in columns:
            if values is not None:
                rows[:, place] = values
        return rows


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
