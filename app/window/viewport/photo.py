"""Photographs as the view shows them: encoded, masked, magnified; decoded in the view thread and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import cv2
import numpy as np

from engine.scene.conventions import linear_to_srgb

if TYPE_CHECKING:
    from engine.capture import Capture

KEPT = 3  # encoded photos at most
CRISP = 3.0  # screen pixels per photo pixel from which single pixels are shown as squares
_TABLE = (linear_to_srgb(np.linspace(0, 1, 1 << 12)) * 255 + 0.5).astype(np.uint8)


def encoded_photo(color: np.ndarray, mask: np.ndarray | None, exposure: float) -> np.ndarray:
    """uint8 [H,W,4] sRGB, premultiplied, of a linear photo [H,W,3] and its mask [H,W]."""
    levels = np.clip(color * np.float32(2.0**exposure * (len(_TABLE) - 1)) + 0.5, 0, len(_TABLE) - 1)
    out = np.full((*color.shape[:2], 4), 255, np.uint8)
    out[..., :3] = _TABLE[levels.astype(np.uint16)]
    if mask is not None:
        out[..., 3] = mask * 255 + 0.5
        partial = mask < 1
        out[partial, :3] = (out[partial, :3] * mask[partial, None] + 0.5).astype(np.uint8)
    return out


class Photos:
    """The last photos shown, encoded, at full size and at the size last asked for."""

    def __init__(self) -> None:
        self._full: OrderedDict[tuple, np.ndarray] = OrderedDict()
        self._small: OrderedDict[tuple, np.ndarray] = OrderedDict()

    def part(
        self,
        capture: Capture,
        frame: int,
        rectangle: tuple[float, float, float, float],  # x, y, width, height in the photo's pixels
        width: int,
        height: int,
        exposure: float = 0.0,
    ) -> np.ndarray:
        """uint8 [height,width,4], premultiplied, of part of a photo. Raises CaptureError when it cannot be decoded."""
        key = (id(capture), capture.frames[frame].name, exposure)
        scale = width / rectangle[2]
        if scale >= 1:
            source, factor = self._kept(self._full, key, lambda: self._encoded(capture, frame, exposure)), 1.0
        else:
            source = self._kept(self._small, (*key, round(scale, 6)), lambda: self._reduced(capture, frame, key, scale))
            factor = scale
        x, y = rectangle[0] * factor, rectangle[1] * factor
        step = rectangle[2] * factor / width, rectangle[3] * factor / height
        if source.shape[:2] == (height, width) and abs(x) + abs(y) < 1e-6:
            return source
        matrix = np.array([[step[0], 0, x + 0.5 * step[0] - 0.5], [0, step[1], y + 0.5 * step[1] - 0.5]])
        flags = (cv2.INTER_NEAREST if scale >= CRISP else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(source, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def _encoded(self, capture: Capture, frame: int, exposure: float) -> np.ndarray:
        pixels = capture.pixels(frame)
        return encoded_photo(pixels.color, pixels.mask, exposure)

    def _reduced(self, capture: Capture, frame: int, key: tuple, scale: float) -> np.ndarray:
        full = self._kept(self._full, key, lambda: self._encoded(capture, frame, key[2]))
        size = max(1, round(full.shape[1] * scale)), max(1, round(full.shape[0] * scale))
        return cv2.resize(full, size, interpolation=cv2.INTER_AREA)

    @staticmethod
    def _kept(store: OrderedDict[tuple, np.ndarray], key: tuple, make) -> np.ndarray:
        if key not in store:
            store[key] = make()
        store.move_to_end(key)
        while len(store) > KEPT:
            store.popitem(last=False)
        return store[key]
