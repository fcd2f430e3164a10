"""What was learned behind splats, as a picture beside them: PLY and SPZ cannot hold it.

The PNG is equirectangular, 8 bits, sRGB-encoded as the splats' colours are: row 0 looks along the capture's up, which
stands where glTF's +Y does; the centre column looks along what is then -Z, and columns grow toward +X.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.film import write_png
from engine.exchange.hdr import rotated
from engine.exchange.references import read_error
from engine.exchange.textures import bytes_from_unit
from engine.scene import Backdrop
from engine.scene.conventions import gltf_from_capture


def write_backdrop(path: Path | str, backdrop: Backdrop, up: np.ndarray) -> None:
    """Write a PNG that stands upright in a capture whose up is `up` [3]; resampled only where the map does not."""
    colors = backdrop.colors
    turn = backdrop.world_from_environment.T @ gltf_from_capture(up).T
    if not np.allclose(turn, np.eye(3), atol=1e-6):
        colors = rotated(colors, turn)
    write_png(path, bytes_from_unit(colors))


def read_backdrop(path: Path | str, up: np.ndarray) -> Backdrop:
    """The map of a file that `write_backdrop` wrote for a capture of the same up. Raises ExchangeError naming it."""
    from PIL import Image

    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise read_error(path, error) from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            colors = np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ExchangeError(f"{path}: not a readable picture ({error}); export the splats again") from error
    height, width = colors.shape[:2]
    if width != 2 * height:
        raise ExchangeError(
            f"{path}: has {width} x {height} pixels, but a map of all directions is twice as wide as high; export again"
        )
    return Backdrop(colors, gltf_from_capture(up).T)
