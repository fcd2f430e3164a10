"""What the stochastic loop starts from and compares with: arrays of the host's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import CaptureError, GeometryError
from engine.scene import Camera, Environment

CHANNELS = 8  # of a texture
SHARES = [0, 1, 2, 3, 4, 7]  # channels that lie in [0,1]
ROUNDING = 1e-3  # by which such values may lie outside

LOOP = "the stochastic loop was given"


@dataclass(frozen=True)
class LoopScene:
    """A mesh, and where they are wanted its textures and light. Raises GeometryError for what does not fit together."""

    vertices: np.ndarray  # [V,3] float32, capture units
    triangles: np.ndarray  # [F,3] int32
    uvs: np.ndarray | None = None  # [T,2] float32, origin top-left
    uv_triangles: np.ndarray | None = None  # [F,3] int32 into uvs
    texture: np.ndarray | None = None  # [H,W,8] float32, channels as engine/optimize/textures.py has them
    tangents: np.ndarray | None = None  # [N,4] float32, MikkTSpace; None: normal maps have no effect
    tangent_triangles: np.ndarray | None = None  # [F,3] int32 into tangents
    environment: Environment | None = None
    mips: bool = True  # whether textures are filtered over mip levels; else level 0 alone is looked up

    def __post_init__(self) -> None:
        if len(self.triangles) == 0 or len(self.vertices) == 0:
            raise GeometryError(f"{LOOP} an empty mesh; start from one with triangles")
        if self.texture is not None and (self.uvs is None or self.uv_triangles is None):
            raise GeometryError(f"{LOOP} a texture but no uvs; unwrap the mesh first")
        _check_rows("vertices", self.vertices, 3)
        _check_indices("triangles", self.triangles, len(self.vertices))
        for name, rows, width in (("uvs", self.uvs, 2), ("tangents", self.tangents, 4)):
            if rows is not None:
                _check_rows(name, rows, width)
        faces = self.face_count
        for name, indices, rows in (
            ("uv_triangles", self.uv_triangles, self.uvs),
            ("tangent_triangles", self.tangent_triangles, self.tangents),
        ):
            if indices is not None and rows is not None:
                _check_indices(name, indices, len(rows), faces)
        if self.texture is not None:
            _check_texture(self.texture)
        if self.environment is not None and not np.isfinite(self.environment.radiance).all():
            raise GeometryError(f"{LOOP} a light that is not finite; start from another one")

    @property
    def point_count(self) -> int:
        """The vertices that are drawn."""
        return len(self.vertices)

    @property
    def face_count(self) -> int:
        """The triangles that are drawn."""
        return len(self.triangles)


def _check_rows(name: str, rows: np.ndarray, width: int) -> None:
    if rows.ndim != 2 or rows.shape[1] != width or len(rows) == 0:
        raise GeometryError(f"{LOOP} {name} of shape {list(rows.shape)}; they must be [N,{width}]")
    if not np.isfinite(rows).all():
        raise GeometryError(f"{LOOP} a mesh with {name} that are not finite; repair the mesh first")


def _check_indices(name: str, indices: np.ndarray, count: int, faces: int | None = None) -> None:
    if indices.ndim != 2 or indices.shape[1] != 3 or not np.issubdtype(indices.dtype, np.integer):
        raise GeometryError(
            f"{LOOP} {name} of shape {list(indices.shape)} and type {indices.dtype}; give integers [F,3]"
        )
    if faces is not None and len(indices) != faces:
        raise GeometryError(f"{LOOP} {len(indices)} {name} for {faces} triangles; give one for each")
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= count:
        raise GeometryError(f"{LOOP} {name} from {low} to {high} into {count} rows; repair the mesh first")


def _check_texture(texture: np.ndarray) -> None:
    if texture.ndim != 3 or texture.shape[2] != CHANNELS or not texture.size:
        raise GeometryError(f"{LOOP} a texture of shape {list(texture.shape)}; it must be [H,W,{CHANNELS}]")
    if not np.isfinite(texture).all():
        raise GeometryError(f"{LOOP} a texture with values that are not finite; start from another one")
    shares = texture[..., SHARES]
    if shares.min() < -ROUNDING or shares.max() > 1 + ROUNDING:
        raise GeometryError(
            f"{LOOP} a texture whose colour, roughness, metallic or occlusion lies from {shares.min():g} to "
            f"{shares.max():g}; clip them to [0,1]"
        )


@dataclass(frozen=True)
class LoopView:
    """A photo to compare with. Raises CaptureError for what is no photo of the camera's size, in finite numbers."""

    camera: Camera
    color: np.ndarray  # [H,W,3] float32 linear radiance, times alpha
    alpha: np.ndarray  # [H,W] float32 in [0,1], 1 = object
    name: str = "a photo"  # what it is called in errors

    def __post_init__(self) -> None:
        size = tuple(self.camera.size)
        for what, values, shape in (("colours", self.color, (*size, 3)), ("a mask", self.alpha, size)):
            if tuple(values.shape) != shape:
                raise CaptureError(
                    f"{self.name} has {what} of shape {list(values.shape)}, and its camera sees {list(shape)}; "
                    "resize the one or the other"
                )
            finite = np.isfinite(values)
            if not finite.all():
                bad = np.argwhere(~(finite.all(-1) if finite.ndim == 3 else finite))
                raise CaptureError(
                    f"{self.name} has {what} with NaN or infinity in {len(bad)} pixels, the first in row {bad[0][0]}, "
                    f"column {bad[0][1]}; repair the image or leave it out"
                )
        low, high = float(self.alpha.min()), float(self.alpha.max())
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise CaptureError(f"{self.name} has a mask from {low:g} to {high:g}; scale it to [0,1]")
