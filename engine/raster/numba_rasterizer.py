"""The CPU rasterizer: torch's autograd around the numba kernels; float32 CPU tensors only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.errors import DeviceError
from engine.kernels.scatter import chunk_count, sum_chunks
from engine.raster import numba_interpolate, numba_locate, numba_visibility
from engine.raster.contract import EdgeTable, VisibilityBuffer

CHUNKS = 8  # most private buffers of one scatter; clearing and adding up more costs what they save


def array(tensor: Tensor) -> np.ndarray:
    """The contiguous NumPy view (or copy) of a CPU tensor that kernels work on."""
    return tensor.detach().contiguous().numpy()


def _checked(tensor: Tensor, meaning: str) -> Tensor:
    if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        raise DeviceError(
            f"the numba rasterizer takes float32 CPU tensors, but {meaning} is {tensor.dtype} on {tensor.device}; "
            "use the reference rasterizer for others"
        )
    return tensor


def _chunks(pixels: int, rows: int, columns: int) -> int:
    """How many private buffers of [rows, columns] the gradients of `pixels` are scattered into."""
    return min(CHUNKS, chunk_count(pixels, rows, columns))


class _Visibility(torch.autograd.Function):
    @staticmethod
    def forward(ctx, clip, triangles, size, cull, draw):
        height, width = size
        positions, corners = array(clip), array(triangles)
        triangle_id = torch.empty((height, width), dtype=torch.int32)
        covered = draw(positions, corners, height, width, cull, triangle_id.numpy())
        count = int(covered[-1])
        pixel, triangle = torch.empty(count, dtype=torch.int64), torch.empty(count, dtype=torch.int64)
        barycentrics, depth = torch.empty((count, 2)), torch.empty(count)
        numba_locate.locate(
            positions,
            corners,
            triangle_id.numpy(),
            covered,
            pixel.numpy(),
            triangle.numpy(),
            barycentrics.numpy(),
            depth.numpy(),
        )
        ctx.save_for_backward(clip, triangles, pixel, triangle, barycentrics, depth)
        ctx.size = size
        ctx.mark_non_differentiable(triangle_id, pixel, triangle, depth)
        ctx.set_materialize_grads(False)
        return triangle_id, pixel, triangle, barycentrics, depth

    @staticmethod
    @once_differentiable
    def backward(ctx, _id, _pixel, _triangle, grad, _depth):
        if grad is None or not ctx.needs_input_grad[0]:
            return None, None, None, None, None
        clip, triangles, pixel, triangle, barycentrics, depth = ctx.saved_tensors
        height, width = ctx.size
        rows = len(clip)
        buffers = np.empty((_chunks(len(pixel), rows, 3), rows, 3), np.float32)
        numba_interpolate.barycentrics_backward(
            array(clip),
            array(triangles),
            pixel.numpy(),
            triangle.numpy(),
            array(barycentrics),
            depth.numpy(),
            array(grad),
            height,
            width,
            buffers,
        )
        total = np.empty((rows, 3), np.float32)
        sum_chunks(buffers, total)
        return _clip_gradient(total), None, None, None, None


def visibility_drawn_by(
    draw: Callable[..., np.ndarray], clip: Tensor, triangles: Tensor, size: tuple[int, int], cull: bool
) -> VisibilityBuffer:
    """The buffer of float32 CPU tensors whose numbers `draw` fills in, called as `numba_visibility.draw` is."""
    parts = _Visibility.apply(_checked(clip, "clip"), triangles.to(torch.int32), tuple(size), bool(cull), draw)
    return VisibilityBuffer(*parts)


def _clip_gradient(xyw: np.ndarray) -> Tensor:
    """[V,4] gradient of clip positions from that of (x, y, w) [V,3]; depth has none."""
    out = np.zeros((len(xyw), 4), np.float32)
    out[:, :2], out[:, 3] = xyw[:, :2], xyw[:, 2]
    return torch.from_numpy(out)


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attributes, triangles, triangle, barycentrics):
        out = torch.empty((len(triangle), attributes.shape[1]))
        numba_interpolate.interpolate(
            array(attributes), array(triangles), array(triangle), array(barycentrics), out.numpy()
        )
        ctx.save_for_backward(attributes, triangles, triangle, barycentrics)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        attributes, triangles, triangle, barycentrics = ctx.saved_tensors
        rows, columns = attributes.shape
        to_attributes, _, _, to_barycentrics = ctx.needs_input_grad
        count = len(triangle)
        chunks = _chunks(count, rows if to_attributes else 0, columns)
        buffers = np.empty((chunks, rows if to_attributes else 0, columns), np.float32)
        grad_barycentrics = torch.empty((count if to_barycentrics else 0, 2))
        numba_interpolate.interpolate_backward(
            array(attributes),
            array(triangles),
            array(triangle),
            array(barycentrics),
            array(grad),
            buffers,
            grad_barycentrics.numpy(),
        )
        grad_attributes = None
        if to_attributes:
            grad_attributes = torch.empty((rows, columns))
            sum_chunks(buffers, grad_attributes.numpy())
        return grad_attributes, None, None, grad_barycentrics if to_barycentrics else None


class _Compose(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, background, triangle_id, pixel):
        height, width = triangle_id.shape
        channels = values.shape[1]
        out = torch.empty((height, width, channels))
        numba_interpolate.compose(
            array(values),
            triangle_id.numpy(),
            pixel.numpy(),
            array(background).reshape(-1, channels),
            out.numpy().reshape(-1, channels),
        )
        ctx.save_for_backward(triangle_id, pixel)
        ctx.per_pixel = background.dim() == 3
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        triangle_id, pixel = ctx.saved_tensors
        grad = grad.contiguous()
        to_values = to_background = None
        if ctx.needs_input_grad[0]:
            to_values = torch.empty((len(pixel), grad.shape[2]))
            numba_interpolate.gather_rows(array(grad).reshape(-1, grad.shape[2]), pixel.numpy(), to_values.numpy())
        if ctx.needs_input_grad[1]:
            to_background = grad * (triangle_id == 0)[..., None]
            if not ctx.per_pixel:
                to_background = to_background.sum((0, 1))
        return to_values, to_background, None, None


class NumbaRasterizer:
    """The raster contract on the CPU: the same inputs give the same bits whatever the thread count."""

    name = "numba"

    def visibility(
        self, clip: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool = False
    ) -> VisibilityBuffer:
        """See `contract.Rasterizer.visibility`."""
        return visibility_drawn_by(numba_visibility.draw, clip, triangles, size, cull_backfaces)

    def interpolate(self, attributes: Tensor, triangles: Tensor, buffer: VisibilityBuffer) -> Tensor:
        """See `contract.Rasterizer.interpolate`."""
        return _Interpolate.apply(
            _checked(attributes, "attributes"), triangles.to(torch.int32), buffer.triangle, buffer.barycentrics
        )

    def compose(self, values: Tensor, buffer: VisibilityBuffer, background: Tensor) -> Tensor:
        """See `contract.Rasterizer.compose`."""
        background = _checked(background, "background")
        return _Compose.apply(_checked(values, "values"), background, buffer.triangle_id, buffer.pixel)

    def coverage(
        self, image: Tensor, clip: Tensor, triangles: Tensor, buffer: VisibilityBuffer, edges: EdgeTable
    ) -> Tensor:
        """See `contract.Rasterizer.coverage`."""
        from engine.raster.numba_coverage import coverage

        return coverage(_checked(image, "image"), _checked(clip, "clip"), triangles.to(torch.int32), buffer, edges)

    def texture(self, pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
        """See `contract.Rasterizer.texture`."""
        from engine.raster.texture import texture_numba

        return texture_numba(pyramid, uv, level)
