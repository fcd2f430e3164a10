"""Triangles to pixels and gradients back: visibility, interpolation, coverage, texture.

Importing this package costs nothing: torch, numba, wgpu and nvdiffrast are loaded when a rasterizer is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.errors import DeviceError

if TYPE_CHECKING:
    from engine.raster.contract import Rasterizer

RasterizerName = Literal["reference", "numba", "webgpu", "nvdiffrast"]


def rasterizer(name: RasterizerName) -> Rasterizer:
    """The implementation of the raster contract called `name`.

    Raises DeviceError for an unknown name, for `webgpu` where there is no adapter, and for `nvdiffrast` where it
    does not import or there is no CUDA device.
    """
    if name == "reference":
        from engine.raster.reference import ReferenceRasterizer

        return ReferenceRasterizer()
    if name == "numba":
        from engine.raster.numba_rasterizer import NumbaRasterizer

        return NumbaRasterizer()
    if name == "webgpu":
        from engine.raster.webgpu.rasterizer import WebgpuRasterizer

        return WebgpuRasterizer()
    if name == "nvdiffrast":
        from engine.raster.nvdiffrast_rasterizer import NvdiffrastRasterizer

        return NvdiffrastRasterizer()
    raise DeviceError(f"rasterizer {name!r} is unknown; use reference, numba, webgpu or nvdiffrast")


def __getattr__(name: str):
    if name in ("EdgeTable", "Rasterizer", "VisibilityBuffer"):
        from engine.raster import contract

        return getattr(contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
