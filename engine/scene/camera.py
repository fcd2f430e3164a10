"""A pinhole camera with OpenCV axes (x right, y down, z forward) and pixel centres at +0.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Camera:
    """One view's pose and intrinsics; lens distortion has been removed before a Camera exists."""

    world_from_camera: np.ndarray  # [4,4] float64, rigid, capture units
    focal: tuple[float, float]  # (fx, fy) in pixels
    centre: tuple[float, float]  # principal point (cx, cy) in pixels
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, the order of an image's shape."""
        return self.height, self.width

    @property
    def position(self) -> np.ndarray:
        """[3] camera centre in the world."""
        return self.world_from_camera[:3, 3]

    @property
    def forward(self) -> np.ndarray:
        """[3] unit viewing direction in the world."""
        return self.world_from_camera[:3, 2]

    @property
    def camera_from_world(self) -> np.ndarray:
        """[4,4] float64."""
        return np.linalg.inv(self.world_from_camera)

    def clip_from_world(self, near: float, far: float) -> np.ndarray:
        """[4,4] float64 to clip space: w = camera z, z/w in [-1,1] over [near,far], and y down.

        A clip point lies at pixel ((x/w + 1) W/2, (y/w + 1) H/2), so row 0 is y/w = -1.
        """
        (fx, fy), (cx, cy) = self.focal, self.centre
        projection = np.array(
            [
                [2 * fx / self.width, 0, 2 * cx / self.width - 1, 0],
                [0, 2 * fy / self.height, 2 * cy / self.height - 1, 0],
                [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)],
                [0, 0, 1, 0],
            ]
        )
        return projection @ self.camera_from_world

    def depth_range(self, box: np.ndarray) -> tuple[float, float]:
        """(near, far) that enclose `box` [2,3] (minimum, maximum) with a margin; near is at least far / 1000."""
        corners = np.stack(np.meshgrid(*box.T, indexing="ij"), -1).reshape(-1, 3)
        depth = (corners - self.position) @ self.forward
        margin = 0.1 * float(np.linalg.norm(box[1] - box[0]))
        far = max(float(depth.max()) + margin, 1e-6)
        return max(float(depth.min()) - margin, far * 1e-3), far

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World `points` [N,3] to (pixels [N,2], camera depth [N]); pixels are meaningless where depth <= 0."""
        local = points @ self.camera_from_world[:3, :3].T + self.camera_from_world[:3, 3]
        depth = local[:, 2]
        safe = np.where(np.abs(depth) < 1e-12, 1e-12, depth)
        pixels = local[:, :2] / safe[:, None] * np.array(self.focal) + np.array(self.centre)
        return pixels, depth

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """(origin [3], unit directions [H,W,3]) in the world, through pixel centres."""
        x = (np.arange(self.width) + 0.5 - self.centre[0]) / self.focal[0]
        y = (np.arange(self.height) + 0.5 - self.centre[1]) / self.focal[1]
        local = np.stack([*np.meshgrid(x, y), np.ones((self.height, self.width))], -1)
        directions = local @ self.world_from_camera[:3, :3].T
        return self.position, directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def resized(self, width: int, height: int) -> Camera:
        """The same view sampled on width x height pixels."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            focal=(self.focal[0] * sx, self.focal[1] * sy),
            centre=(self.centre[0] * sx, self.centre[1] * sy),
            width=width,
            height=height,
        )

    def cropped(self, x: int, y: int, width: int, height: int) -> Camera:
        """The part of the view whose upper left pixel is column `x`, row `y` of this one; it may reach beyond it."""
        centre = (self.centre[0] - x, self.centre[1] - y)
        return replace(self, centre=centre, width=width, height=height)


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray, focal: float, width: int, height: int) -> Camera:
    """A camera at `position` [3] looking at `target` [3] with `up` [3] upward in the image; `focal` in pixels."""
    forward = np.asarray(target, float) - np.asarray(position, float)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, np.asarray(up, float))
    if np.linalg.norm(right) < 1e-6:  # looking along up: any right will do
        right = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(forward, right), forward, position
    return Camera(pose, (focal, focal), (width / 2, height / 2), width, height)


def looked_at(cameras: Sequence[Camera]) -> np.ndarray:
    """[2,3] a box where the cameras look: around the point nearest to all their axes, a third of the way to them."""
    if not len(cameras):
        return np.array([[-1.0, -1, -1], [1, 1, 1]])
    system, right = np.zeros((3, 3)), np.zeros(3)
    for camera in cameras:
        across = np.eye(3) - np.outer(camera.forward, camera.forward)
        system += across
        right += across @ camera.position
    centres = np.array([camera.position for camera in cameras])
    if np.linalg.cond(system) > 1e6:  # parallel axes
        middle = centres.mean(0) + np.mean([camera.forward for camera in cameras], 0)
    else:
        middle = np.linalg.solve(system, right)
    radius = max(float(np.median(np.linalg.norm(centres - middle, axis=1))) / 3, 1e-6)
    return np.stack([middle - radius, middle + radius])
