"""Lens models: from a distorted photograph's intrinsics to the pinhole camera of its undistorted image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from engine.scene.camera import Camera

PINHOLES = {"SIMPLE_PINHOLE", "PINHOLE"}
# Models that are pinholes when all their coefficients are zero.
BENT_PINHOLES = {"SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV", "SIMPLE_DIVISION", "DIVISION", "BROWN"}
PANORAMA = "EQUIRECTANGULAR"


@dataclass(frozen=True)
class Lens:
    """Intrinsics of a stored image: pixel = focal * distorted(x/z, y/z) + centre, pixel centres at +0.5.

    `model` is a COLMAP camera model, evaluated by pycolmap, or BROWN: nerfstudio's polynomial
    (1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8) with tangential p1, p2; coefficients (k1, k2, k3, k4, p1, p2).
    """

    model: str
    focal: tuple[float, float]  # pixels
    centre: tuple[float, float]  # pixels
    width: int
    height: int
    coefficients: tuple[float, ...] = ()  # what follows focal length and principal point in COLMAP's order

    @property
    def is_pinhole(self) -> bool:
        """Whether the image needs no undistortion."""
        return self.model in PINHOLES or (self.model in BENT_PINHOLES and not any(self.coefficients))

    def resized(self, width: int, height: int) -> Lens:
        """The same lens for an image stored at another size."""
        sx, sy = width / self.width, height / self.height
        focal, centre = self.focal, self.centre
        return replace(
            self,
            focal=(focal[0] * sx, focal[1] * sy),
            centre=(centre[0] * sx, centre[1] * sy),
            width=width,
            height=height,
        )

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera-space directions (x/z, y/z) [N,2] in front of the camera to pixels [N,2] of the stored image."""
        points = np.asarray(points, np.float64)
        if self.model == PANORAMA:
            longitude = np.arctan2(points[:, 0], 1.0)
            latitude = np.arctan2(points[:, 1], np.hypot(points[:, 0], 1.0))
            return np.stack([(longitude / (2 * np.pi) + 0.5) * self.width, (latitude / np.pi + 0.5) * self.height], -1)
        return self._distorted(points) * np.array(self.focal) + np.array(self.centre)

    def _distorted(self, points: np.ndarray) -> np.ndarray:
        if self.is_pinhole:
            return points
        if self.model == "BROWN":
            return _brown(points, self.coefficients)
        local = np.concatenate([points, np.ones((len(points), 1))], -1)
        return np.asarray(_unit_camera(self.model, self.coefficients).img_from_cam(local))

    def _undistorted(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels [N,2] to (x/z, y/z) [N,2]; NaN where the model has no inverse."""
        points = (pixels - np.array(self.centre)) / np.array(self.focal)
        if self.is_pinhole:
            return points
        if self.model != "BROWN":
            return np.asarray(_unit_camera(self.model, self.coefficients).cam_from_img(points), float)
        guess, step = points.copy(), 1e-6
        for _ in range(30):  # Newton with a numeric Jacobian; a border has few points
            error = self._distorted(guess) - points
            dx = (self._distorted(guess + [step, 0]) - self._distorted(guess - [step, 0])) / (2 * step)
            dy = (self._distorted(guess + [0, step]) - self._distorted(guess - [0, step])) / (2 * step)
            determinant = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
            determinant = np.where(np.abs(determinant) < 1e-9, np.nan, determinant)
            guess[:, 0] -= (error[:, 0] * dy[:, 1] - error[:, 1] * dy[:, 0]) / determinant
            guess[:, 1] -= (error[:, 1] * dx[:, 0] - error[:, 0] * dx[:, 1]) / determinant
        miss = np.abs(self._distorted(guess) - points).max(-1)
        return np.where((miss < 1e-9)[:, None], guess, np.nan)

    def pinhole(self, world_from_camera: np.ndarray) -> Camera:
        """The camera of the undistorted image: same focal length, sized so that no pixel lies outside the photograph.

        The size rule is COLMAP's with blank_pixels = 0 (scale from 0.2 to 2). A panorama gives its forward 90 degrees.
        """
        return replace(_pinhole(self), world_from_camera=world_from_camera)

    def _border(self, x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        points = self._undistorted(np.stack([x, y], -1))[:, axis]
        return (points * self.focal[axis] + self.centre[axis])[np.isfinite(points)]

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of `pinhole`'s camera lies in the photograph: cv2.remap's (x, y) float32 [H,W].

        cv2 counts pixel centres from 0, hence the half pixel.
        """
        return _maps(self)


@lru_cache(maxsize=64)
def _pinhole(lens: Lens) -> Camera:
    if lens.model == PANORAMA:
        side = max(lens.width // 4, 1)
        return Camera(np.eye(4), (side / 2, side / 2), (side / 2, side / 2), side, side)
    if lens.is_pinhole:
        return Camera(np.eye(4), lens.focal, lens.centre, lens.width, lens.height)
    x, y = np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5
    left, right = (lens._border(np.full_like(y, at), y, 0) for at in (0.5, lens.width - 0.5))
    top, bottom = (lens._border(x, np.full_like(x, at), 1) for at in (0.5, lens.height - 0.5))
    size = []
    for centre, length, low, high in (
        (lens.centre[0], lens.width, left, right),
        (lens.centre[1], lens.height, top, bottom),
    ):
        shrink = []
        if low.size and low.max() < centre:
            shrink.append((centre - 0.5) / (centre - low.max()))
        if high.size and high.min() > centre:
            shrink.append((length - 0.5 - centre) / (high.min() - centre))
        scale = 1 / max(shrink) if shrink and max(shrink) > 0 else 1.0
        size.append(max(1, math.floor(length * min(max(float(scale), 0.2), 2.0))))
    centre = (lens.centre[0] * size[0] / lens.width, lens.centre[1] * size[1] / lens.height)
    return Camera(np.eye(4), lens.focal, centre, size[0], size[1])


@lru_cache(maxsize=2)  # photographs of one lens share the maps
def _maps(lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    camera = _pinhole(lens)
    x = (np.arange(camera.width) + 0.5 - camera.centre[0]) / camera.focal[0]
    y = (np.arange(camera.height) + 0.5 - camera.centre[1]) / camera.focal[1]
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    pixels = (lens.project(grid) - 0.5).reshape(camera.height, camera.width, 2).astype(np.float32)
    return np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1])


def _brown(points: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    k1, k2, k3, k4, p1, p2 = coefficients
    x, y = points[:, 0], points[:, 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        -1,
    )


def _unit_camera(model: str, coefficients: tuple[float, ...]):
    """A pycolmap camera with focal length 1 and principal point 0, which is the distortion alone."""
    import pycolmap

    camera = pycolmap.Camera.create_from_model_name(1, model, 1.0, 1, 1)
    ones = [1.0] * len(camera.focal_length_idxs())
    camera.params = [*ones, 0.0, 0.0, *coefficients]
    return camera
