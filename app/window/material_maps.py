"""A material's textures as pictures and numbers; NumPy only, for worker threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.scene import Material
from engine.scene.conventions import linear_to_srgb

MAPS = {  # key: (title, what it says)
    "base_color": ("Base colour", "The surface's own colour, without light"),
    "roughness": ("Roughness", "0 is a mirror, 1 is chalk"),
    "metallic": ("Metallic", "0 is anything else, 1 is bare metal"),
    "normal": ("Normal", "Fine relief: which way the surface faces, in its own frame"),
    "occlusion": ("Occlusion", "How open the surface is to the light: 0 is closed, 1 is open"),
}
CHANNELS = ("All", "Red", "Green", "Blue")


@dataclass(frozen=True)
class TextureImage:
    """One map as shown."""

    key: str
    values: np.ndarray  # [H,W,3] or [H,W] float32, as stored: linear
    rgb: np.ndarray  # [h,w,3] uint8

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the map itself."""
        return self.values.shape[:2]

    def text_at(self, x: int, y: int) -> str:
        """The numbers of a texel in words; empty outside."""
        height, width = self.size
        if not (0 <= x < width and 0 <= y < height):
            return ""
        value = self.values[y, x]
        if value.ndim == 0:
            return f"({x}, {y})   {value:.3f}"
        numbers = "  ".join(f"{name} {number:.3f}" for name, number in zip("RGB", value, strict=True))
        if self.key == "normal":
            numbers = "  ".join(f"{name} {number:+.3f}" for name, number in zip("xyz", value, strict=True))
        return f"({x}, {y})   {numbers}"


def values_of(material: Material, key: str) -> np.ndarray | None:
    """One map, [H,W,3] or [H,W]; None where the material has none."""
    if key == "base_color":
        return material.base_color
    if key == "normal":
        return material.normal
    channel = ("occlusion", "roughness", "metallic").index(key)
    return material.occlusion_roughness_metallic[..., channel]


def texture_image(material: Material, key: str, side: int = 0, channel: str = "All") -> TextureImage | None:
    """A map at full size, or with at most `side` pixels on its longer side; one channel of it in grey."""
    import cv2

    values = values_of(material, key)
    if values is None:
        return None
    small = np.ascontiguousarray(values, np.float32)
    longest = max(small.shape[:2])
    if side and longest > side:
        size = tuple(max(1, round(n * side / longest)) for n in small.shape[1::-1])
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    if key == "normal":
        small = small * 0.5 + 0.5
    elif key == "base_color":
        small = linear_to_srgb(small)
    if small.ndim == 3 and channel != "All":
        small = small[..., CHANNELS.index(channel) - 1]
    rgb = (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)
    return TextureImage(key, values, np.repeat(rgb[..., None], 3, -1) if rgb.ndim == 2 else rgb)
