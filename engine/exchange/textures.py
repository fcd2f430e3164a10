"""Textures between linear float32 arrays and the 8-bit images that asset files carry."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from engine.scene.conventions import linear_to_srgb, srgb_to_linear


def bytes_from_unit(values: np.ndarray) -> np.ndarray:
    """Values in [0,1] to uint8, rounded to the nearest."""
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def png_bytes(image: np.ndarray) -> bytes:
    """uint8 [H,W], [H,W,3] or [H,W,4] as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", compress_level=4)
    return stream.getvalue()


def encode_base_color(linear: np.ndarray) -> np.ndarray:
    """Linear [H,W,3] to sRGB-encoded uint8."""
    return bytes_from_unit(linear_to_srgb(np.asarray(linear, np.float32)))


def encode_normal(normal: np.ndarray) -> np.ndarray:
    """Unit tangent-space normals [H,W,3] to uint8, as glTF stores them: 0.5 + 0.5 n."""
    return bytes_from_unit(np.asarray(normal, np.float32) * 0.5 + 0.5)


def decode_base_color(encoded: np.ndarray) -> np.ndarray:
    """sRGB-encoded uint8 [H,W,3] to linear float32."""
    return srgb_to_linear(np.arange(256, dtype=np.float32) / 255)[encoded]


def decode_normal(encoded: np.ndarray) -> np.ndarray:
    """uint8 [H,W,3] to unit float32 normals; texels without a direction become +Z."""
    normal = encoded.astype(np.float32) / 255 * 2 - 1
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 1e-3, normal / np.maximum(length, 1e-3), np.float32([0, 0, 1])).astype(np.float32)
