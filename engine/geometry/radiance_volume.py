"""A volume of density and view-independent colour inside the visual hull: what finds the concavities no mask shows.

Silhouette gradients cannot dig, and a surface's colour gradient sees only its own neighbourhood; a semi-transparent
volume is seen through, so that every depth along a ray competes (in the manner of Sun et al. 2022, arXiv 2111.11215,
with interpolation before activation). Its median depths are then fused (engine/geometry/fusion.py).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import GeometryError
from engine.geometry.volume_kernels import DENSITY_SCALE, EMPTY, march, march_backward, smoothness_gradient
from engine.scene import Camera

INITIAL_DENSITY = -5.0  # raw: a cell lets 99 % of the light through, so that all depths along a ray compete
STEP = 0.5  # of a cell


class _March(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, slot, origins, directions, jitter, step):
        image = np.empty((len(origins), 4), np.float32)
        arrays = (values.detach().contiguous().numpy(), slot, origins, directions, jitter, np.float32(step))
        march(*arrays, image, np.empty(len(origins), np.float32))
        ctx.saved = (*arrays, image)
        return torch.from_numpy(image)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        total = march_backward(*ctx.saved, gradient.contiguous().numpy())
        return torch.from_numpy(total), None, None, None, None, None


def march_reference(values: Tensor, slot: Tensor, origins: Tensor, directions: Tensor, jitter: Tensor, step: float):
    """The same image [P,4] in plain torch of any dtype, without early termination: the truth in the tests."""
    cells = slot.shape[0] - 1
    values = values * torch.tensor([float(DENSITY_SCALE), 1, 1, 1], dtype=values.dtype)
    inverse = 1 / torch.where(directions.abs() < 1e-9, torch.full_like(directions, 1e-9), directions)
    a, b = -origins * inverse, (cells - origins) * inverse
    near, far = torch.minimum(a, b).amax(1).clamp_min(0), torch.maximum(a, b).amin(1)
    count = int(((far - near).clamp_min(0) / step).max().ceil()) + 1
    t = near[:, None] + (jitter[:, None] + torch.arange(count, dtype=values.dtype)) * step
    point = origins[:, None] + t[..., None] * directions[:, None]
    low = point.floor().long().clamp(0, cells - 1)
    part = point - low
    raw = torch.zeros(*point.shape[:2], 4, dtype=values.dtype)
    empty = torch.tensor([float(EMPTY), 0, 0, 0], dtype=values.dtype)
    active = torch.zeros(point.shape[:2], dtype=torch.bool)
    for corner in range(8):
        offset = torch.tensor([corner & 1, (corner >> 1) & 1, corner >> 2])
        row = slot[tuple((low + offset).unbind(-1))]
        weight = torch.where(offset.bool(), part, 1 - part).prod(-1)
        raw = raw + weight[..., None] * torch.where((row >= 0)[..., None], values[row.clamp_min(0)], empty)
        active |= row >= 0
    inside = (t < far[:, None]) & active
    depth = torch.where(inside, torch.nn.functional.softplus(raw[..., 0]) * step, torch.zeros_like(t))
    light = torch.exp(-torch.cumsum(depth, 1))
    before = torch.cat([torch.ones_like(light[:, :1]), light[:, :-1]], 1)
    color = ((before - light)[..., None] * raw[..., 1:].sigmoid()).sum(1)
    return torch.cat([color, light[:, -1:]], 1)


class RadianceVolume(nn.Module):
    """Raw density and sRGB-encoded colour at the grid corners where `field` is near or below zero."""

    def __init__(self, field: np.ndarray, box: np.ndarray):
        """field [R+1,R+1,R+1]: signed distance of the hull, capture units, negative inside; box [2,3], cubic cells.

        Raises GeometryError where no corner lies in the hull.
        """
        super().__init__()
        self.box = np.asarray(box, np.float64)
        self.cell = float((self.box[1] - self.box[0]).max() / (field.shape[0] - 1))
        active = field < 1.5 * self.cell
        if not active.any():
            raise GeometryError("the volume is empty: the visual hull has no inside; check the masks with doctor")
        self.slot = np.full(field.shape, -1, np.int32)
        self.slot[active] = np.arange(active.sum())
        self.corner = np.argwhere(active)
        start = torch.zeros(len(self.corner), 4)
        start[:, 0] = INITIAL_DENSITY / float(DENSITY_SCALE)
        self.values = nn.Parameter(start)  # [N,4] raw density, raw colour

    def refined(self, field: np.ndarray) -> RadianceVolume:
        """The same volume sampled at the corners of a finer `field` in the same box."""
        from scipy.ndimage import map_coordinates

        finer = RadianceVolume(field, self.box)
        at = finer.corner.T * ((self.slot.shape[0] - 1) / (field.shape[0] - 1))
        dense = np.zeros((*self.slot.shape, 4), np.float32)
        dense[..., 0] = INITIAL_DENSITY / float(DENSITY_SCALE)
        dense[tuple(self.corner.T)] = self.values.detach().numpy()
        with torch.no_grad():
            for channel in range(4):
                column = map_coordinates(dense[..., channel], at, order=1, mode="nearest")
                finer.values[:, channel] = torch.from_numpy(column)
        return finer

    def in_cells(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World rays to grid coordinates; directions [P,3] unit stay unit."""
        return (
            np.ascontiguousarray((origins - self.box[0]) / self.cell, np.float32),
            np.ascontiguousarray(directions, np.float32),
        )

    def render(self, origins: np.ndarray, directions: np.ndarray, jitter: np.ndarray) -> Tensor:
        """[P,4] encoded colour (premultiplied) and transmittance of world rays; gradient to `values`."""
        return _March.apply(self.values, self.slot, *self.in_cells(origins, directions), jitter, STEP)

    def add_smoothness(self, density: float, color: float) -> None:
        """Add the gradient of the squared differences between neighbours, so weighted, to `values.grad`."""
        weights = np.array([density, color, color, color], np.float32)
        gradient = smoothness_gradient(self.values.detach().numpy(), self.slot, self.corner, weights)
        self.values.grad += torch.from_numpy(gradient)

    def depth(self, camera: Camera) -> np.ndarray:
        """[H,W] camera depth at which half the light is gone; inf where it never is."""
        origin, directions = camera.rays()
        rays = directions.reshape(-1, 3)
        origins, local = self.in_cells(np.broadcast_to(origin, rays.shape), rays)
        image, depth = np.empty((len(rays), 4), np.float32), np.empty(len(rays), np.float32)
        middle = np.full(len(rays), 0.5, np.float32)
        march(self.values.detach().numpy(), self.slot, origins, local, middle, np.float32(STEP), image, depth)
        along = rays @ camera.forward
        return (depth * self.cell * along).reshape(camera.size).astype(np.float32)
