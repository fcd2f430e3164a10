"""One drawn preview: eight-bit colour to show, and the numbers behind each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.exchange.render import Surface, SurfaceMaps

NEUTRAL = (46, 47, 50)  # sRGB, what lies behind the object where nothing else is asked for


@dataclass(frozen=True)
class PixelValues:
    """What one pixel of a preview shows; None where nothing is known."""

    color: tuple[int, int, int] | None = None  # sRGB, eight bits, as displayed
    depth: float | None = None  # camera z, capture units
    base_color: tuple[float, float, float] | None = None  # linear
    roughness: float | None = None
    metallic: float | None = None


@dataclass(frozen=True)
class PreviewImage:
    """What a camera sees of a snapshot in one display."""

    rgba: np.ndarray  # uint8 [H,W,4], sRGB-encoded, premultiplied
    depth: np.ndarray  # [H,W] float32 camera z, inf = none
    triangle_id: np.ndarray  # [H,W] int32, 0 = none, i+1 = triangle i
    surface: Surface | None = None  # what the covered pixels see; None of a volume
    depth_range: tuple[float, float] | None = None  # (near, far) that the colours of the display `depth` span
    has_lines: bool = False  # whether lines that were asked for are in the picture

    @property
    def alpha(self) -> np.ndarray:
        """[H,W] float32 coverage."""
        return self.rgba[..., 3].astype(np.float32) / 255

    @property
    def rgb(self) -> np.ndarray:
        """uint8 [H,W,3] on the neutral background."""
        return self.over(NEUTRAL)

    def over(self, background: tuple[int, int, int]) -> np.ndarray:
        """uint8 [H,W,3] on an sRGB colour."""
        rest = 255 - self.rgba[..., 3:].astype(np.uint16)
        return (self.rgba[..., :3] + (rest * np.array(background, np.uint16) + 127) // 255).astype(np.uint8)

    @cached_property
    def maps(self) -> SurfaceMaps:
        """The material, normal and depth of every pixel centre; zeros where there is no surface."""
        height, width = self.depth.shape
        columns = np.zeros((height * width, 11), np.float32)
        if self.surface is not None:
            surface = self.surface
            normal = surface.normal.numpy()
            normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
            depth = surface.buffer.depth.numpy()[:, None]
            parts = [surface.base_color.numpy(), surface.packed.numpy(), normal, depth, np.ones_like(depth)]
            columns[surface.buffer.pixel.numpy()] = np.concatenate(parts, 1)
        base, occlusion, roughness, metallic, normal, depth, alpha = (
            part.reshape(height, width, -1) for part in np.split(columns, [3, 4, 5, 6, 9, 10], axis=1)
        )
        return SurfaceMaps(
            base, occlusion[..., 0], roughness[..., 0], metallic[..., 0], normal, depth[..., 0], alpha[..., 0]
        )

    def at(self, column: int, row: int) -> PixelValues:
        """The numbers of one pixel; nothing known outside the image."""
        height, width = self.depth.shape
        if not (0 <= column < width and 0 <= row < height):
            return PixelValues()
        rest = 255 - int(self.rgba[row, column, 3])
        color = tuple(int(c) + rest * n // 255 for c, n in zip(self.rgba[row, column, :3], NEUTRAL, strict=True))
        depth = float(self.depth[row, column])
        if not np.isfinite(depth):
            return PixelValues(color)
        if self.surface is None:
            return PixelValues(color, depth)
        place = int(np.searchsorted(self.surface.buffer.pixel.numpy(), row * width + column))
        base_color = tuple(float(value) for value in self.surface.base_color[place])
        _, roughness, metallic = (float(value) for value in self.surface.packed[place])
        return PixelValues(color, depth, base_color, roughness, metallic)
