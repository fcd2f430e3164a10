"""Which triangle every pixel sees, in plain torch: every pixel of every triangle's bounds is tested, in batches.

The same rules as the CPU kernel's: positions snapped to 1/4096 pixel make edge functions exact integers; edges with an
end behind the camera or far off the screen use homogeneous edge functions (Olano and Greer 1997) instead.
"""

from __future__ import annotations

import torch
from torch import Tensor

SUBPIXEL = 4096
HALF = SUBPIXEL // 2
GUARD = 32768.0  # pixels; beyond it positions are not snapped
BATCH = 1 << 21  # pixel tests at a time


def pixel_coordinates(pixel: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(x, y) [P] float64 in [-1,1], the clip coordinates over w of the centres of flat pixel indices [P]."""
    height, width = size
    return (pixel % width + 0.5) / width * 2.0 - 1, (pixel // width + 0.5) / height * 2.0 - 1


def _bounds(points: Tensor, screen: Tensor, regular: Tensor, size: tuple[int, int]) -> Tensor:
    """[F,4] inclusive pixel bounds x0, x1, y0, y1 of triangles with clip corners [F,3,4], snapped ones [F,3,2]."""
    height, width = size
    limit = torch.tensor([width, height], device=points.device)
    low = torch.div(screen.amin(1) + HALF - 1, SUBPIXEL, rounding_mode="floor")
    high = torch.div(screen.amax(1) - HALF, SUBPIXEL, rounding_mode="floor")
    # of the others: what lies in front of the near plane, corners and crossings, with a pixel's margin
    near = points[..., 2] + points[..., 3]
    t = near / (near - near.roll(-1, 1))
    crossing = points + t[..., None] * (points.roll(-1, 1) - points)
    kept = torch.cat([near >= 0, (near < 0) != (near.roll(-1, 1) < 0)], 1)
    outline = torch.cat([points, crossing], 1)
    w = outline[..., 3:]
    pixels = (outline[..., :2] / w + 1) * 0.5 * limit
    unbounded = (kept & (w[..., 0] <= 0)).any(1, keepdim=True)
    lowest = torch.where(kept[..., None], pixels, torch.inf).amin(1)
    highest = torch.where(kept[..., None], pixels, -torch.inf).amax(1)
    lowest = torch.where(unbounded, 0.0, torch.minimum(lowest, limit + 2.0) - 1.5)
    highest = torch.where(unbounded, limit.double(), highest.clamp_min(-2.0) + 1.5)
    highest = torch.minimum(highest, limit + 2.0)
    low = torch.where(regular[:, None], low, lowest.floor().long()).clamp_min(0)
    high = torch.minimum(torch.where(regular[:, None], high, highest.floor().long()), limit - 1)
    return torch.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1)


def _edge_sign(points: Tensor, screen: Tensor, snapped: Tensor, ends: Tensor, x: Tensor, y: Tensor, size) -> Tensor:
    """[N] +1 or -1: the side of pixel (x, y) from the edge between vertices ends [N,2]; opposite for the reverse."""
    height, width = size
    first, second = ends.amin(1), ends.amax(1)
    (ax, ay), (bx, by) = screen[first].unbind(1), screen[second].unbind(1)
    dx, dy = bx - ax, by - ay
    exact = dx * (y * SUBPIXEL + HALF - ay) - dy * (x * SUBPIXEL + HALF - ax)
    # a pixel on an edge belongs to the side into which an infinitesimal step right (then down) leads
    positive = (exact > 0) | ((exact == 0) & ((dy < 0) | ((dy == 0) & (dx > 0))))
    nx, ny = (x + 0.5) / width * 2.0 - 1, (y + 0.5) / height * 2.0 - 1
    a, b = points[first], points[second]
    across = (a[:, 0] - nx * a[:, 3]) * (b[:, 1] - ny * b[:, 3]) - (b[:, 0] - nx * b[:, 3]) * (a[:, 1] - ny * a[:, 3])
    positive = torch.where(snapped[first] & snapped[second], positive, across >= 0)
    return torch.where(positive == (ends[:, 0] < ends[:, 1]), 1, -1)


def visible_triangles(clip: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool) -> Tensor:
    """[H,W] int32: 1 + the index of the nearest triangle at every pixel centre, 0 = none."""
    height, width = size
    device = clip.device
    points, corners = clip.detach().double(), triangles.long()
    finite = torch.isfinite(points).all(1)
    w = points[:, 3]
    limit = torch.tensor([width, height], device=device)
    pixels = (points[:, :2] / w[:, None] + 1) * 0.5 * limit
    snapped = finite & (w > 1e-30) & (pixels.abs() <= GUARD).all(1)
    screen = torch.floor(torch.where(snapped[:, None], pixels, 0.0) * SUBPIXEL + 0.5).long()
    regular_vertex = snapped & (points[:, 2].abs() <= w)

    regular = regular_vertex[corners].all(1)
    shape, flat = points[corners], screen[corners]
    doubled = flat[:, 1:] - flat[:, :1]
    snapped_area = doubled[:, 0, 0] * doubled[:, 1, 1] - doubled[:, 0, 1] * doubled[:, 1, 0]
    area = torch.where(regular, snapped_area.sign(), torch.linalg.det(shape[..., [0, 1, 3]]).sign().long())
    distinct = (corners != corners.roll(1, 1)).all(1)
    outside = ((shape[..., :3] > shape[..., 3:]).all(1) | (shape[..., :3] < -shape[..., 3:]).all(1)).any(1)
    drawn = finite[corners].all(1) & distinct & ~(outside & ~regular) & (area != 0)
    if cull_backfaces:
        drawn &= area < 0
    bounds = _bounds(torch.nan_to_num(shape), flat, regular, size)
    columns, rows = bounds[:, 1] - bounds[:, 0] + 1, bounds[:, 3] - bounds[:, 2] + 1
    tests = torch.where(drawn, columns.clamp_min(0) * rows.clamp_min(0), 0)

    nearest = torch.zeros(height * width, dtype=torch.float32, device=device)
    ids = torch.zeros(height * width, dtype=torch.int64, device=device)
    upto = tests.cumsum(0)
    start = 0
    while start < len(corners) and int(upto[-1]) > 0:
        done = int(upto[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(upto, done + BATCH, right=True)), start + 1)
        count = tests[start:stop]
        t = torch.repeat_interleave(count) + start
        offset = torch.arange(len(t), device=device) - (upto[t] - tests[t] - done)
        x = bounds[t, 0] + offset % columns[t].clamp_min(1)
        y = bounds[t, 2] + torch.div(offset, columns[t].clamp_min(1), rounding_mode="floor")
        for corner in range(3):
            ends = corners[t][:, [corner, (corner + 1) % 3]]
            inside = _edge_sign(points, screen, snapped, ends, x, y, size) == area[t]
            t, x, y = t[inside], x[inside], y[inside]
        value, shown = _inverse_depth(points, flat, regular, corners, t, x, y, size)
        t, pixel, value = t[shown], (y * width + x)[shown], value[shown].float()
        best = nearest.scatter_reduce(0, pixel, value, "amax")
        ids = torch.where(best > nearest, 0, ids)
        equal = (value == best[pixel]) & (best[pixel] > nearest[pixel])
        first = torch.full_like(ids, len(corners) + 1).scatter_reduce(0, pixel[equal], t[equal] + 1, "amin")
        ids = torch.where(first <= len(corners), first, ids)
        nearest = best
        start = stop
    return ids.reshape(size).int()


def _inverse_depth(points, flat, regular, corners, t, x, y, size) -> tuple[Tensor, Tensor]:
    """(1/w [N], whether |z/w| <= 1 [N]) of triangles t [N] at pixels (x, y) [N] inside them."""
    height, width = size
    snapped = flat[t].double()  # [N,3,2]
    center = torch.stack([x * SUBPIXEL + HALF, y * SUBPIXEL + HALF], -1).double()
    shape = points[corners[t]]
    at = torch.stack([(x + 0.5) / width * 2.0 - 1, (y + 0.5) / height * 2.0 - 1], -1)
    offset = torch.where(
        regular[t][:, None, None], snapped - center[:, None], shape[..., :2] - at[:, None] * shape[..., 3:]
    )
    edge = (
        offset.roll(-1, 1)[..., 0] * offset.roll(-2, 1)[..., 1]
        - offset.roll(-2, 1)[..., 0] * offset.roll(-1, 1)[..., 1]
    )
    edge = (edge * edge.sum(1, keepdim=True).sign()).clamp_min(0)
    # in snapped coordinates the weights are those of the screen, in clip coordinates those of the triangle
    screen_value = (edge / shape[..., 3]).sum(1) / edge.sum(1)
    z, w = (edge * shape[..., 2]).sum(1), (edge * shape[..., 3]).sum(1)
    value = torch.where(regular[t], screen_value, edge.sum(1) / w)
    return value, regular[t] | ((w > 0) & (z.abs() <= w))
