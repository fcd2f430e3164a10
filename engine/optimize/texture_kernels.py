"""Kernel of `textures.quick_material`."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import parallel_kernel


@parallel_kernel
def unpack(texture, base_color, packed, normal):
    """Base colour [H,W,3], occlusion-roughness-metallic [H,W,3] and unit normal [H,W,3] of a texture [H,W,8]."""
    for row_ in prange(texture.shape[0]):
        row = np.int64(row_)
        for column in range(texture.shape[1]):
            texel = texture[row, column]
            for k in range(3):
                base_color[row, column, k] = texel[k]
            packed[row, column, 0] = texel[7]
            packed[row, column, 1] = texel[3]
            packed[row, column, 2] = texel[4]
            inverse = np.float32(1) / np.sqrt(texel[5] * texel[5] + texel[6] * texel[6] + np.float32(1))
            normal[row, column, 0] = texel[5] * inverse
            normal[row, column, 1] = texel[6] * inverse
            normal[row, column, 2] = inverse
