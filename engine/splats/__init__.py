"""Gaussians to pixels and gradients back: projection, compositing, density control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.errors import DeviceError

if TYPE_CHECKING:
    from engine.splats.contract import Splatter

SplatterName = Literal["reference", "numba", "webgpu", "gsplat"]


def splatter(name: SplatterName) -> Splatter:
    """The implementation of the splat contract called `name`; DeviceError for one that is unknown or not to be had."""
    if name == "reference":
        from engine.splats.reference import ReferenceSplatter

        return ReferenceSplatter()
    if name == "numba":
        from engine.splats.numba_splatter import NumbaSplatter

        return NumbaSplatter()
    if name == "webgpu":
        from engine.splats.webgpu_splatter import WebgpuSplatter

        return WebgpuSplatter()
    if name == "gsplat":
        from engine.splats.gsplat_splatter import GsplatSplatter

        return GsplatSplatter()
    raise DeviceError(f"splatter {name!r} is unknown; use reference, numba, webgpu or gsplat")
