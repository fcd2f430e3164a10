"""The baseline that optimization must beat: the visual hull, unlit, with each vertex's mean colour in the photos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import cKDTree

from engine.raster.contract import EdgeTable, Rasterizer
from engine.scene import Camera, Mesh

if TYPE_CHECKING:
    from engine.capture import Capture

DEPTH_TOLERANCE = 0.005  # of the mesh's diagonal; a vertex that much behind the nearest surface is hidden


class UnlitRenderer:
    """Draws a mesh with vertex colours as they are, antialiased at silhouettes."""

    def __init__(self, mesh: Mesh, colors: np.ndarray, rasterizer: Rasterizer, device: str = "cpu") -> None:
        self.mesh, self.rasterizer, self.device = mesh, rasterizer, device
        self._box = mesh.box.astype(np.float64)
        self._triangles = torch.from_numpy(np.ascontiguousarray(mesh.triangles, np.int32)).to(device)
        rgba = np.concatenate([colors, np.ones((len(colors), 1))], 1)
        self._colors = torch.from_numpy(np.ascontiguousarray(rgba, np.float32)).to(device)
        self._edges = EdgeTable.from_triangles(self._triangles, len(mesh.vertices))

    def clip(self, camera: Camera) -> torch.Tensor:
        """[V,4] clip positions."""
        matrix = camera.clip_from_world(*camera.depth_range(self._box))
        clip = np.asarray(self.mesh.vertices, np.float64) @ matrix[:, :3].T + matrix[:, 3]
        return torch.from_numpy(np.ascontiguousarray(clip, np.float32)).to(self.device)

    @torch.no_grad()
    def depth(self, camera: Camera) -> np.ndarray:
        """[H,W] camera depth of the nearest surface; infinite where there is none."""
        buffer = self.rasterizer.visibility(self.clip(camera), self._triangles, camera.size)
        depth = np.full(camera.height * camera.width, np.inf, np.float32)
        depth[buffer.pixel.cpu().numpy()] = buffer.depth.cpu().numpy()
        return depth.reshape(camera.size)

    @torch.no_grad()
    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """(premultiplied linear colour [H,W,3], alpha [H,W])."""
        clip = self.clip(camera)
        buffer = self.rasterizer.visibility(clip, self._triangles, camera.size)
        values = self.rasterizer.interpolate(self._colors, self._triangles, buffer)
        image = self.rasterizer.compose(values, buffer, torch.zeros(4, device=self.device))
        image = self.rasterizer.coverage(image, clip, self._triangles, buffer, self._edges).cpu().numpy()
        return image[..., :3], np.clip(image[..., 3], 0, 1)


def depth_renderer(mesh: Mesh, rasterizer: Rasterizer) -> UnlitRenderer:
    """A renderer for a mesh of which only the depth is wanted."""
    return UnlitRenderer(mesh, np.zeros((len(mesh.vertices), 3)), rasterizer)


def mean_vertex_colors(
    mesh: Mesh,
    capture: Capture,
    rasterizer: Rasterizer,
    frames: Iterable[int] | None = None,
    device: str = "cpu",
    cameras: Sequence[Camera] | None = None,
) -> np.ndarray:
    """[V,3] float32 linear mean, over the training photos that see a vertex, of what they show there.

    A vertex is seen where it faces the camera, lies within DEPTH_TOLERANCE of the nearest surface and falls on the
    mask; one that no photo sees takes the colour of the nearest one that is. `cameras` are those of all frames where
    they are not the capture's own.
    """
    return mean_colors(mesh, mesh.vertices, mesh.vertex_normals(), capture, rasterizer, frames, device, cameras)


def mean_colors(
    mesh: Mesh,
    points: np.ndarray,  # [N,3] on the mesh
    normals: np.ndarray,  # [N,3] of any length
    capture: Capture,
    rasterizer: Rasterizer,
    frames: Iterable[int] | None = None,
    device: str = "cpu",
    cameras: Sequence[Camera] | None = None,
) -> np.ndarray:
    """[N,3] as `mean_vertex_colors`, at any points of the mesh."""
    count = len(points)
    renderer = UnlitRenderer(mesh, np.zeros((len(mesh.vertices), 3)), rasterizer, device)
    tolerance, vertices = DEPTH_TOLERANCE * mesh.diagonal, np.asarray(points, np.float64)
    total, weight = np.zeros((count, 3)), np.zeros(count)
    for frame in capture.train if frames is None else frames:
        camera, pixels = capture.frames[frame].camera if cameras is None else cameras[frame], capture.pixels(frame)
        position, depth = camera.project(vertices)
        facing = ((camera.position - vertices) * normals).sum(1) > 0
        column, row = np.floor(np.clip(position, -1, 1e6)).astype(np.int64).T
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height) & (depth > 0) & facing
        index = np.flatnonzero(inside)
        row, column = row[index], column[index]
        seen = depth[index] <= renderer.depth(camera)[row, column] + tolerance
        if pixels.mask is not None:
            seen &= pixels.mask[row, column] > 0.5
        index, row, column = index[seen], row[seen], column[seen]
        total[index] += pixels.color[row, column]
        weight[index] += 1
    known = weight > 0
    if not known.any():
        return np.full((count, 3), 0.5, np.float32)
    colors = total / np.maximum(weight, 1)[:, None]
    if not known.all():
        nearest = cKDTree(vertices[known]).query(vertices[~known])[1]
        colors[~known] = colors[known][nearest]
    return colors.astype(np.float32)


def hull_baseline(hull: Mesh, capture: Capture, rasterizer: Rasterizer, device: str = "cpu") -> UnlitRenderer:
    """The renderer of a hull with mean vertex colours."""
    return UnlitRenderer(hull, mean_vertex_colors(hull, capture, rasterizer, device=device), rasterizer, device)
