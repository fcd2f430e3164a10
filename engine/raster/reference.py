"""The raster contract in plain vectorised torch: any float type, any device; the truth that others are tested by."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.raster.contract import EdgeTable, VisibilityBuffer
from engine.raster.reference_visibility import pixel_coordinates, visible_triangles

SLIVER = 0.01  # barycentrics further outside than this belong to slivers hit by snapping, and get no gradient
DEPTH_MARGIN = 1e-4  # relative; a surface must lie this much behind an edge to be what the edge uncovers


def barycentrics_at(clip: Tensor, corners: Tensor, pixel: Tensor, size: tuple[int, int]) -> Tensor:
    """[P,2] perspective-correct (u, v) of pixel centres in their triangles, differentiable wrt clip.

    clip [V,4]; corners [P,3] vertices; pixel [P] flat indices. Homogeneous edge functions (Olano and Greer 1997).
    """
    x, y = pixel_coordinates(pixel, size)
    points = clip[corners].double()  # [P,3,4]
    px, py = points[..., 0] - x[:, None] * points[..., 3], points[..., 1] - y[:, None] * points[..., 3]
    edge = px.roll(-1, 1) * py.roll(-2, 1) - px.roll(-2, 1) * py.roll(-1, 1)  # [P,3]: of corner 0, 1, 2
    total = edge.sum(1, keepdim=True)
    empty = total == 0
    weights = torch.where(empty, 1 / 3, edge / torch.where(empty, 1.0, total))
    inside = weights.detach().clamp_min(0)
    weights = torch.where(weights.detach().amin(1, True) < -SLIVER, inside / inside.sum(1, keepdim=True), weights)
    return weights[:, :2].to(clip.dtype)


def located(triangle_id: Tensor, clip: Tensor, triangles: Tensor) -> VisibilityBuffer:
    """The whole buffer of an image of triangle numbers [H,W] int32, on any device; barycentrics differentiable."""
    size = (triangle_id.shape[0], triangle_id.shape[1])
    with torch.no_grad():
        pixel = torch.nonzero(triangle_id.reshape(-1))[:, 0]
        triangle = triangle_id.reshape(-1)[pixel].long() - 1
        corners = triangles[triangle].long()
    barycentrics = barycentrics_at(clip, corners, pixel, size)
    with torch.no_grad():
        weights = torch.cat([barycentrics, 1 - barycentrics.sum(1, keepdim=True)], 1)
        depth = (weights * clip[:, 3][corners]).sum(1)
    return VisibilityBuffer(triangle_id, pixel, triangle, barycentrics, depth)


def silhouette_crossings(
    clip: Tensor, edges: EdgeTable, inverse_depth: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(first pixel [N], second pixel [N], position [N], share [N]) of the crossings that bound what is seen.

    clip [V,4]; inverse_depth [H*W], 0 = background. `position` in [0,1) is where between the two pixel centres the
    silhouette crosses, differentiable wrt clip (float64); `share` the constant weight of the pair's direction.
    """
    height, width = size
    points = clip.double()
    ends, opposite = edges.edges.long(), edges.opposite.long()
    a, b = points[ends[:, 0]], points[ends[:, 1]]
    with torch.no_grad():
        normal = torch.linalg.cross(a[:, [0, 1, 3]], b[:, [0, 1, 3]])
        first, second = ((normal * points[opposite[:, i]][:, [0, 1, 3]]).sum(1).sign() for i in (0, 1))
        second = torch.where(opposite[:, 1] < 0, first, second)
        in_range = [(p[:, 3] > 0) & (p[:, 2].abs() <= p[:, 3]) for p in (a, b)]
        chosen = torch.nonzero((first == second) & (first != 0) & in_range[0] & in_range[1])[:, 0]
    a, b, side = a[chosen], b[chosen], first[chosen]
    scale = torch.tensor([width, height], dtype=torch.float64, device=clip.device)
    from_screen, to_screen = ((p[:, :2] / p[:, 3:] + 1) * 0.5 * scale for p in (a, b))
    with torch.no_grad():
        squared = ((to_screen - from_screen) ** 2).sum(1)
    found = []
    for axis in (0, 1):  # 0: along rows, between left and right pixels; 1: along columns
        p0, p1, s0, s1 = from_screen[:, axis], to_screen[:, axis], from_screen[:, 1 - axis], to_screen[:, 1 - axis]
        lines, length = (height, width) if axis == 0 else (width, height)
        with torch.no_grad():
            start = torch.ceil((torch.minimum(s0, s1) - 0.5).clamp(0, lines)).long()
            past = torch.ceil((torch.maximum(s0, s1) - 0.5).clamp(0, lines)).long()
            count = (past - start).clamp_min(0)
            row = torch.repeat_interleave(count)
            line = torch.arange(len(row), device=clip.device) - (count.cumsum(0) - count)[row] + start[row]
        t = (line + 0.5 - s0[row]) / (s1[row] - s0[row])
        position = p0[row] + t * (p1[row] - p0[row]) - 0.5
        with torch.no_grad():
            keep = torch.nonzero((position >= 0) & (position < length - 1))[:, 0]
        row, line, t, position = row[keep], line[keep], t[keep], position[keep]
        with torch.no_grad():
            cell = position.long()
            pixel = line * width + cell if axis == 0 else cell * width + line
            toward = (s0 - s1 if axis == 0 else s1 - s0)[row] * side[row] > 0
            near = (1 - t) / a[row, 3] + t / b[row, 3]
            outside = torch.where(toward, pixel, pixel + (1 if axis == 0 else width))
            share = (s1 - s0)[row] ** 2 / squared[row]
            visible = torch.nonzero(near > inverse_depth[outside] * (1 + DEPTH_MARGIN))[:, 0]
        found.append([x[visible] for x in (2 * pixel + axis, row, position - cell, near, share, toward)])
    pair, row, position, near, share, toward = (torch.cat(parts) for parts in zip(*found, strict=True))
    with torch.no_grad():
        # of one pair: per direction the one reaching furthest, then the nearer of the two; of equals the first
        reach = torch.where(toward, 1 - position, position)
        order = _lexicographic(row, -reach, toward.long(), pair)
        best = order[_first_of_run((2 * pair + toward)[order])]
        order = best[_lexicographic(row[best], -near[best], pair[best])]
        best = order[_first_of_run(pair[order])]
    first_pixel = pair[best] // 2
    second_pixel = first_pixel + torch.where(pair[best] % 2 == 1, width, 1)
    return first_pixel, second_pixel, position[best], share[best]


def _lexicographic(*keys: Tensor) -> Tensor:
    """The order that sorts by the last key, then the one before it, and so on."""
    order = torch.arange(len(keys[0]), device=keys[0].device)
    for key in keys:
        order = order[torch.sort(key[order], stable=True).indices]
    return order


def _first_of_run(key: Tensor) -> Tensor:
    first = torch.ones_like(key, dtype=torch.bool)
    first[1:] = key[1:] != key[:-1]
    return first


class ReferenceRasterizer:
    """The raster contract in plain torch; slow, exact, and the one that also runs in float64 and on CUDA."""

    name = "reference"

    def visibility(
        self, clip: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool = False
    ) -> VisibilityBuffer:
        """See `contract.Rasterizer.visibility`."""
        with torch.no_grad():
            triangle_id = visible_triangles(clip, triangles, size, cull_backfaces)
        return located(triangle_id, clip, triangles)

    def interpolate(self, attributes: Tensor, triangles: Tensor, buffer: VisibilityBuffer) -> Tensor:
        """See `contract.Rasterizer.interpolate`."""
        u, v = buffer.barycentrics[:, :1], buffer.barycentrics[:, 1:]
        a, b, c = (attributes[triangles[:, i].long()[buffer.triangle]] for i in range(3))
        return u * a + v * b + (1 - u - v) * c

    def compose(self, values: Tensor, buffer: VisibilityBuffer, background: Tensor) -> Tensor:
        """See `contract.Rasterizer.compose`."""
        height, width = buffer.size
        canvas = background.expand(height, width, values.shape[1]).reshape(height * width, -1)
        return canvas.index_put((buffer.pixel,), values).reshape(height, width, -1)

    def coverage(
        self, image: Tensor, clip: Tensor, triangles: Tensor, buffer: VisibilityBuffer, edges: EdgeTable
    ) -> Tensor:
        """See `contract.Rasterizer.coverage`; the shares of horizontal and vertical pairs are treated as constants."""
        height, width, channels = image.shape
        inverse_depth = torch.zeros(height * width, dtype=torch.float64, device=image.device)
        inverse_depth[buffer.pixel] = 1 / buffer.depth.double()
        first, second, position, share = silhouette_crossings(clip, edges, inverse_depth, (height, width))
        colors = image.reshape(-1, channels)
        amount = ((0.5 - position) * share).to(image.dtype)[:, None]
        target = torch.where(amount[:, 0] > 0, first, second)
        return colors.index_add(0, target, amount * (colors[second] - colors[first])).reshape(image.shape)

    def texture(self, pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
        """See `contract.Rasterizer.texture`."""
        from engine.raster.texture import texture_reference

        return texture_reference(pyramid, uv, level)
