"""One picture that a person looks at first: photos beside renders, their difference, and the materials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from engine.exchange import AssetRenderer, write_png
from engine.optimize.evaluate import on_white, photo_compared, photo_on_white, rendered_on_white
from engine.scene.conventions import srgb_to_linear

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.evaluate import Renderer
    from engine.scene import Camera

COLUMNS = ("photo", "render", "difference x3", "base colour", "roughness, metallic", "normal")
CELL = 256  # pixels, longest side of one picture
CAPTION = 22
WIDTH = 120  # pixels, of a column at least: the longest caption's


def _fitted(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, CELL / max(height, width))
    return cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def _widened(image: np.ndarray, width: int) -> np.ndarray:
    return np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0)), constant_values=1)


def _maps(renderer: Renderer, camera: Camera) -> list[np.ndarray]:
    if not isinstance(renderer, AssetRenderer):
        return []
    maps = renderer.render_maps(camera)
    packed = np.stack([np.zeros_like(maps.roughness), maps.roughness, maps.metallic], -1)
    return [
        on_white(maps.base_color, maps.alpha),
        on_white(srgb_to_linear(packed), maps.alpha),
        on_white(srgb_to_linear(np.clip(maps.normal * 0.5 + 0.5, 0, 1)), maps.alpha),
    ]


def comparison(
    renderer: Renderer,
    capture: Capture,
    frames: Sequence[int],
    cameras: Sequence[Camera] | None = None,
    ignoring: bool = False,
) -> np.ndarray:
    """uint8 [H,W,3]: row per frame, column per entry of COLUMNS, for splats three; roughness green, metallic blue.

    `cameras` are those of all frames where they are not the capture's own; with `ignoring` masks tell what to ignore.
    """
    rows = []
    for frame in frames:
        camera = capture.frames[frame].camera if cameras is None else cameras[frame]
        photo, _ = photo_on_white(capture, frame)
        render = rendered_on_white(renderer, camera)
        compared = photo_compared(capture, frame, render, True)[0] if ignoring else photo
        cells = [photo, render, np.clip(np.abs(compared - render) * 3, 0, 1), *_maps(renderer, camera)]
        rows.append([_fitted(np.ascontiguousarray(cell, np.float32)) for cell in cells])
    width = max(WIDTH, *(cell.shape[1] for row in rows for cell in row))
    picture = np.vstack([np.hstack([_widened(cell, width) for cell in row]) for row in rows])
    picture = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    caption = np.full((CAPTION, picture.shape[1], 3), 255, np.uint8)
    for number, text in enumerate(COLUMNS[: len(rows[0])]):
        at = (number * width + 4, CAPTION - 7)
        cv2.putText(caption, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1, cv2.LINE_AA)
    return np.vstack([caption, picture])


def write_comparison(
    path: Path,
    renderer: Renderer,
    capture: Capture,
    count: int = 4,
    cameras: Sequence[Camera] | None = None,
    ignoring: bool = False,
) -> None:
    """Write the picture of up to `count` test views (training views where there are none) as PNG."""
    frames = capture.test or capture.train
    chosen = sorted({frames[i] for i in np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)})
    write_png(path, comparison(renderer, capture, chosen, cameras, ignoring))
