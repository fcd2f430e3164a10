"""What a device's limits leave room for: the largest textures, meshes and photos of the stochastic loop."""

from __future__ import annotations

import math
from collections.abc import Mapping

from engine.raster.texture_pyramid import level_sizes

BINDING = "max-storage-buffer-binding-size"
IMAGE = "max-texture-dimension-2d"
HEAD = 32  # words before the sums of credit
TABLE = 25  # words per triangle: corners, and up to a dozen vertices that its shading reads, as on closed meshes
VERTEX = 96  # bytes per vertex: clip position, position and normal on both sides
TANGENT = 16


def misfit(
    limits: Mapping[str, int],
    name: str,  # of the adapter
    *,
    vertices: int,
    triangles: int,
    photo: tuple[int, int],  # (height, width) of the largest
    texture: tuple[int, int] | None = None,  # (height, width)
    tangents: int = 0,
    mips: bool = True,
) -> str | None:
    """One sentence that says what does not fit and what would; None where everything does."""
    most = limits[BINDING]
    seen = f"than {name} lets a shader see at once ({most / 2**20:g} MiB)"
    if 8 * photo[0] * photo[1] > most or max(photo) > limits[IMAGE]:
        side = min(math.isqrt(most // 8), limits[IMAGE])
        return f"photos of {photo[1]}x{photo[0]} pixels are larger {seen}; set the stage's image_size to {side} or less"
    if texture is not None:
        height, width = texture
        texels = sum(h * w for h, w in level_sizes(height, width, None if mips else 1))
        if 4 * (HEAD + texels) > most or max(texture) > limits[IMAGE]:
            side = min(math.isqrt((most // 4 - HEAD) * 3 // 4), limits[IMAGE])
            side = 1 << max(side.bit_length() - 1, 0)
            return f"the credit of a texture of {width}x{height} is larger {seen}; use one of {side}x{side} or less"
    largest = max(4 * TABLE * triangles, VERTEX * vertices + TANGENT * tangents, 4 * (HEAD + triangles + vertices))
    if largest > most:
        share = int(triangles * most / largest)
        return f"a mesh of {triangles:,} triangles is larger {seen}; simplify it to {share:,} or less"
    return None
