"""Points of surfaces as shadings are given them, whoever evaluates the shading."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class SurfacePoints:
    """P points as shaders/surface.wgsl describes them; what is None is 0, or 1 for occlusion. All float32."""

    normal: np.ndarray  # [P,3] world, unit
    toward: np.ndarray  # [P,3] world, unit
    base_color: np.ndarray  # [P,3] linear
    roughness: np.ndarray  # [P]
    metallic: np.ndarray  # [P]
    occlusion: np.ndarray | None = None  # [P]
    position: np.ndarray | None = None  # [P,3] world
    uv: np.ndarray | None = None  # [P,2]
    pixel: np.ndarray | None = None  # [P,2] image coordinates, pixel centres at .5

    def filled(self) -> SurfacePoints:
        """The same with arrays in place of what is None."""
        count = len(self.normal)
        empty = {"position": (count, 3), "uv": (count, 2), "pixel": (count, 2)}
        given = {name: np.zeros(shape, np.float32) for name, shape in empty.items() if getattr(self, name) is None}
        if self.occlusion is None:
            given["occlusion"] = np.ones(count, np.float32)
        return replace(self, **given)

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
