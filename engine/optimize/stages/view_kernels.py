"""Kernel of `view_pass.surface_points`."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import parallel_kernel

CHUNK = 1024  # pixels of one turn of the parallel loop


@parallel_kernel
def unproject(pixel, depth, width, focal, centre, pose, position, toward):
    """position [P,3] of pixels [P] at camera depth [P] and unit toward [P,3] the camera, in the world; pose [4,4]."""
    count = pixel.shape[0]
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        start = np.int64(chunk) * CHUNK
        for p in range(start, min(start + CHUNK, count)):
            row = pixel[p] // width
            x = (np.float32(pixel[p] - row * width) + np.float32(0.5) - centre[0]) / focal[0]
            y = (np.float32(row) + np.float32(0.5) - centre[1]) / focal[1]
            inverse = -np.float32(1) / np.sqrt(x * x + y * y + np.float32(1))
            for k in range(3):
                away = pose[k, 0] * x + pose[k, 1] * y + pose[k, 2]
                position[p, k] = away * depth[p] + pose[k, 3]
                toward[p, k] = away * inverse
