"""Decoding Radiance HDR files (RGBE) with OpenCV."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def read_radiance(path: Path) -> np.ndarray:
    """Linear RGB [H,W,3] float32 of a whole .hdr file; raises OSError or, with the reason, ValueError."""
    import cv2

    with path.open("rb") as file:
        if file.read(2) != b"#?":
            raise ValueError("not a Radiance HDR image")
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # imdecode goes through a temporary file
    if pixels is None:  # names that OpenCV does not open on every system
        try:
            pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise ValueError("not a whole Radiance HDR image") from error
    if pixels is None or pixels.dtype != np.float32 or pixels.ndim != 3:
        raise ValueError("not a whole Radiance HDR image")
    return np.ascontiguousarray(pixels[..., 2::-1])
