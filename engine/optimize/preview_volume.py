"""A radiance volume seen from any camera, marched in strips so that a newer view can interrupt it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import Cancelled
from engine.geometry.radiance_volume import STEP
from engine.geometry.volume_kernels import march
from engine.scene import Camera

if TYPE_CHECKING:
    from engine.optimize.snapshot import VolumeSnapshot

RAYS = 16384  # marched between two looks at whether the image is still wanted


def region_of(camera: Camera, box: np.ndarray) -> tuple[int, int, int, int]:
    """(first row, past the last, first column, past the last) of the pixels that may see `box` [2,3]."""
    corners = np.stack(np.meshgrid(*np.asarray(box, float).T, indexing="ij"), -1).reshape(-1, 3)
    pixels, depth = camera.project(corners)
    if (depth <= 1e-6).any():
        return 0, camera.height, 0, camera.width
    low = np.clip(np.floor(pixels.min(0)), 0, (camera.width, camera.height)).astype(int)
    high = np.clip(np.ceil(pixels.max(0)), 0, (camera.width, camera.height)).astype(int)
    return low[1], high[1], low[0], high[0]


def march_view(
    volume: VolumeSnapshot, camera: Camera, cancelled: Callable[[], bool] = lambda: False
) -> tuple[np.ndarray, np.ndarray]:
    """(sRGB-encoded premultiplied colour and alpha [H,W,4], camera depth [H,W], inf where none) of a volume.

    Raises Cancelled when `cancelled` says so between two strips.
    """
    box = np.asarray(volume.box, np.float64)
    cell = float((box[1] - box[0]).max() / (volume.slot.shape[0] - 1))
    image = np.zeros((*camera.size, 4), np.float32)
    depth = np.full(camera.size, np.inf, np.float32)
    top, bottom, left, right = region_of(camera, box)
    if bottom <= top or right <= left:
        return image, depth
    x = ((np.arange(left, right) + 0.5 - camera.centre[0]) / camera.focal[0]).astype(np.float32)
    rotation = camera.world_from_camera[:3, :3].astype(np.float32)
    origin = ((camera.position - box[0]) / cell).astype(np.float32)
    values = np.ascontiguousarray(volume.values, np.float32)
    strip = max(1, RAYS // (right - left))
    for row in range(top, bottom, strip):
        if cancelled():
            raise Cancelled("a newer view is asked for")
        end = min(row + strip, bottom)
        y = ((np.arange(row, end) + 0.5 - camera.centre[1]) / camera.focal[1]).astype(np.float32)
        local = np.stack([*np.meshgrid(x, y), np.ones((end - row, right - left), np.float32)], -1).reshape(-1, 3)
        length = np.linalg.norm(local, axis=1)
        rays = np.ascontiguousarray(local @ rotation.T / length[:, None])
        origins = np.ascontiguousarray(np.broadcast_to(origin, rays.shape))
        color, along = np.empty((len(rays), 4), np.float32), np.empty(len(rays), np.float32)
        march(values, volume.slot, origins, rays, np.full(len(rays), 0.5, np.float32), np.float32(STEP), color, along)
        color[:, 3] = 1 - color[:, 3]
        shape = end - row, right - left
        image[row:end, left:right] = color.reshape(*shape, 4)
        depth[row:end, left:right] = (along * cell / length).reshape(shape)
    return image, depth
