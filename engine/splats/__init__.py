"""Gaussians to pixels and gradients back: projection, compositing, density control."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from engine.errors import DeviceError

if TYPE_CHECKING:
    from engine.device import Device
    from engine.splats.contract import Splatter

SplatterName = Literal["reference", "numba", "webgpu", "gsplat"]


def splatter_on(device: Device, gaussian: bool) -> SplatterName:
    """What trains splats on `device`, whose tensors stay on the CPU: gsplat on CUDA where it is installed and they are
    drawn as Gaussians, WGSL where WebGPU draws, else numba."""
    if device.torch_device == "cuda" and gaussian and find_spec("gsplat") is not None:
        return "gsplat"
    return "webgpu" if device.rasterizer == "webgpu" else "numba"


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
