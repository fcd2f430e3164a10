"""The points that a capture carries: COLMAP's sparse model, or the PLY that a transforms.json names.

Format: https://colmap.github.io/format.html
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.capture.entry import Entry, is_inside
from engine.errors import CaptureError

Points = tuple[np.ndarray, np.ndarray]  # positions [P,3] float64, capture units; colours [P,3] uint8, encoded
GREY = 128  # of points without a colour
MOST_POINTS = 50_000_000
# Cameras of two files that agree after a similarity to this share of their extent stand in the same places.
AGREEMENT = 0.005
_HEAD = struct.Struct("<Q3d3BdQ")  # id, position, colour, error, length of its track


def model_points(model: Path) -> Points | None:
    """The points of the COLMAP model in the folder `model`; None where it has none. Raises CaptureError."""
    for name, parser in (("points3D.bin", _binary), ("points3D.txt", _text)):
        path = model / name
        if path.is_file():
            try:
                return _finite(*parser(path.read_bytes()))
            except OSError as error:
                raise CaptureError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
            except (ValueError, IndexError, struct.error, OverflowError) as error:
                raise CaptureError(f"{path}: is not a valid COLMAP file ({error}); export the model again") from error
    return None


def _binary(data: bytes) -> Points:
    (count,) = struct.unpack_from("<Q", data)
    if count > (len(data) - 8) // _HEAD.size:
        raise ValueError(f"{count} points do not fit its {len(data)} bytes")
    positions, colors, at = np.empty((count, 3)), np.empty((count, 3), np.uint8), 8
    for i in range(count):
        _, x, y, z, red, green, blue, _, length = _HEAD.unpack_from(data, at)
        positions[i], colors[i] = (x, y, z), (red, green, blue)
        at += _HEAD.size + 8 * length
    if at > len(data):
        raise ValueError(f"it ends after {len(data)} bytes, in the middle of a point")
    return positions, colors


def _text(data: bytes) -> Points:
    rows = [line.split(maxsplit=7)[:7] for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    rows = [[float(text) for text in row] for row in rows if not row[0].startswith("#")]
    if any(len(row) < 7 for row in rows):
        raise ValueError("a point has fewer than 7 numbers")
    table = np.array(rows, np.float64).reshape(-1, 7)
    return table[:, 1:4], np.clip(np.nan_to_num(table[:, 4:7]), 0, 255).astype(np.uint8)


def ply_points(path: Path) -> Points | None:
    """The vertices of a PLY file; None where it has none. Raises CaptureError when it cannot be read."""
    import trimesh

    try:
        with path.open("rb") as file:
            loaded = trimesh.load(file, file_type="ply", process=False)
        positions = np.array(loaded.vertices, np.float64).reshape(-1, 3)
        colors = np.full((len(positions), 3), GREY, np.uint8)
        visual = getattr(loaded, "visual", None)
        found = getattr(loaded, "colors", None) if visual is None else getattr(visual, "vertex_colors", None)
        if found is not None and np.shape(found)[:1] == (len(positions),) and len(positions):
            colors = np.asarray(found)[:, :3].astype(np.uint8)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except Exception as error:  # trimesh raises whatever its parsing meets
        raise CaptureError(f"{path}: is not a PLY file of points ({error}); export the capture again") from error
    return _finite(positions, colors)


def _finite(positions: np.ndarray, colors: np.ndarray) -> Points | None:
    good = np.isfinite(positions).all(1)
    if not good.any():
        return None
    return np.ascontiguousarray(positions[good]), np.ascontiguousarray(colors[good])


def named_points(root: Path, text: object, allow_outside: bool) -> Points | None:
    """The points of the PLY file that a transforms.json in the folder `root` names; None for none or a missing one."""
    if not isinstance(text, str) or not text or "\0" in text:
        return None
    path = root / text
    if (not allow_outside and not is_inside(root, path)) or not path.is_file():
        return None
    return ply_points(path)


def points_beside(entries: Sequence[Entry], model: Path, model_entries: Sequence[Entry]) -> Points | None:
    """The points of a COLMAP model beside a capture, brought to the capture's frame.

    The frames differ by a similarity, found from the cameras of both; None where they do not agree on one.
    """
    named = {Path(entry.name).stem: entry.world_from_camera for entry in model_entries}
    pairs = [
        (entry.world_from_camera, named[Path(entry.name).stem]) for entry in entries if Path(entry.name).stem in named
    ]
    if len(pairs) < 3:
        return None
    here, there = (np.array([pair[side] for pair in pairs], np.float64) for side in (0, 1))
    found = similarity(there[:, :3, 3], here[:, :3, 3])
    points = model_points(model) if found is not None else None
    if found is None or points is None:
        return None
    scale, rotation, shift = found
    turned = np.einsum("ij,njk->nik", rotation, there[:, :3, :3])
    if np.abs(turned - here[:, :3, :3]).max() > 0.1:  # the places agree but not where the cameras look
        return None
    return scale * points[0] @ rotation.T + shift, points[1]


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray] | None:
    """(scale, rotation [3,3], shift [3]) that bring points [N,3] `source` to `target`, or None where none does.

    It does when the median distance left is at most AGREEMENT of the target's extent and the points are not on a line.
    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        return None
    a, b = source - source.mean(0), target - target.mean(0)
    spread = float((a * a).sum())
    left, values, right = np.linalg.svd(b.T @ a)
    if spread <= 0 or values[1] <= 1e-6 * values[0]:
        return None
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * sign) @ right
    scale = float((values * sign).sum()) / spread
    if scale <= 0:
        return None
    distance = np.linalg.norm(scale * a @ rotation.T - b, axis=1)
    if float(np.median(distance)) > AGREEMENT * float(np.linalg.norm(np.ptp(target, axis=0))):
        return None
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)
