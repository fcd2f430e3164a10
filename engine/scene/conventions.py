"""The one place that converts between conventions: camera axes, up axes, colour encodings, image row order."""

from __future__ import annotations

import numpy as np

# OpenGL/Blender cameras look along -z with y up; ours look along +z with y down.
OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])

GLTF_UP = (0.0, 1.0, 0.0)
SPLAT_FILES_UP = (0.0, -1.0, 0.0)  # of 3DGS files that say nothing of it: they keep COLMAP's axes

UP_AXES = {
    "+x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "+y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "+z": (0.0, 0.0, 1.0),
    "-z": (0.0, 0.0, -1.0),
}


def pose_from_opengl(world_from_camera: np.ndarray) -> np.ndarray:
    """World from an OpenGL camera [4,4] to world from an OpenCV camera [4,4]."""
    return np.asarray(world_from_camera, float) @ OPENCV_FROM_OPENGL


def pose_to_opengl(world_from_camera: np.ndarray) -> np.ndarray:
    """World from an OpenCV camera [4,4] to world from an OpenGL camera [4,4]."""
    return np.asarray(world_from_camera, float) @ OPENCV_FROM_OPENGL


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[3,3] the shortest rotation that takes direction `source` [3] to direction `target` [3]."""
    a = np.asarray(source, float) / np.linalg.norm(source)
    b = np.asarray(target, float) / np.linalg.norm(target)
    cross, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1 + 1e-9:  # opposite: half a turn about any perpendicular axis
        axis = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def gltf_from_capture(up: np.ndarray) -> np.ndarray:
    """[3,3] rotation of a capture whose up direction is `up` [3] to glTF's +Y up."""
    return rotation_between(up, np.array(GLTF_UP))


def srgb_to_linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB-encoded values in [0,1] to linear (IEC 61966-2-1)."""
    encoded = np.asarray(encoded)
    bent = ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, bent).astype(
        encoded.dtype if encoded.dtype.kind == "f" else np.float32
    )


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear values to sRGB encoding, clipped to [0,1] (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    bent = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * 12.92, bent).astype(
        linear.dtype if linear.dtype.kind == "f" else np.float32
    )


def gltf_texcoord_to_obj(uvs: np.ndarray) -> np.ndarray:
    """Texture coordinates [T,2] with the origin top-left to OBJ's bottom-left, and back."""
    return np.stack([uvs[:, 0], 1 - uvs[:, 1]], -1)
