"""The raster contract on CUDA through nvdiffrast, where the user has installed it; coverage is the reference's.

Not bit for bit repeatable: nvdiffrast adds gradients with float atomics, and its hardware-like snapping differs from
ours by a sub-pixel. Barycentrics are recomputed analytically, so that their gradient is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import DeviceError
from engine.raster.contract import EdgeTable, VisibilityBuffer
from engine.raster.reference import ReferenceRasterizer, located


class NvdiffrastRasterizer:
    """Visibility, interpolation and texture by nvdiffrast; float32 CUDA tensors only."""

    name = "nvdiffrast"

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise DeviceError("rasterizer nvdiffrast: torch finds no CUDA device; use numba or reference")
        try:
            import nvdiffrast.torch as library
        except ImportError as error:
            raise DeviceError(f"rasterizer nvdiffrast: it does not import ({error}); use reference on CUDA") from error
        self._library = library
        self._context = library.RasterizeCudaContext()
        self._reference = ReferenceRasterizer()

    def visibility(
        self, clip: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool = False
    ) -> VisibilityBuffer:
        """See `contract.Rasterizer.visibility`; image sizes that are no multiple of 8 are drawn larger and cut."""
        height, width = size
        triangles = triangles.int().contiguous()
        with torch.no_grad():
            drawn, original = triangles, None
            if cull_backfaces:
                facing = torch.linalg.det(clip[triangles.long()][..., [0, 1, 3]].double())
                original = torch.nonzero(facing < 0)[:, 0]
                drawn = triangles[original].contiguous()
            wide, high = -(-width // 8) * 8, -(-height // 8) * 8
            x = (clip[:, 0] + clip[:, 3]) * (width / wide) - clip[:, 3]
            y = (clip[:, 1] + clip[:, 3]) * (height / high) - clip[:, 3]
            padded = torch.stack([x, y, clip[:, 2], clip[:, 3]], 1).contiguous()
            if len(drawn):
                rast, _ = self._library.rasterize(self._context, padded[None], drawn, (high, wide), grad_db=False)
                ids = rast[0, :height, :width, 3].int()
            else:
                ids = torch.zeros(size, dtype=torch.int32, device=clip.device)
            if original is not None and len(drawn):
                ids = torch.where(ids > 0, original.int()[(ids.long() - 1).clamp_min(0)] + 1, 0).int()
        return located(ids, clip, triangles)

    def interpolate(self, attributes: Tensor, triangles: Tensor, buffer: VisibilityBuffer) -> Tensor:
        """See `contract.Rasterizer.interpolate`."""
        id_and_rest = torch.zeros((len(buffer.pixel), 2), dtype=torch.float32, device=attributes.device)
        id_and_rest[:, 1] = (buffer.triangle + 1).float()  # exact up to 2^24 triangles, nvdiffrast's own limit
        rast = torch.cat([buffer.barycentrics, id_and_rest], 1)[None, None]
        values, _ = self._library.interpolate(
            attributes[None].contiguous(), rast.contiguous(), triangles.int().contiguous()
        )
        return values[0, 0]

    def compose(self, values: Tensor, buffer: VisibilityBuffer, background: Tensor) -> Tensor:
        """See `contract.Rasterizer.compose`."""
        return self._reference.compose(values, buffer, background)

    def coverage(
        self, image: Tensor, clip: Tensor, triangles: Tensor, buffer: VisibilityBuffer, edges: EdgeTable
    ) -> Tensor:
        """See `contract.Rasterizer.coverage`."""
        return self._reference.coverage(image, clip, triangles, buffer, edges)

    def texture(self, pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
        """See `contract.Rasterizer.texture`."""
        from engine.raster.texture import texture_nvdiffrast

        return texture_nvdiffrast(pyramid, uv, level)
