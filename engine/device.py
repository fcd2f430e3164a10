"""Which back ends this machine has, and which one to use; knows no room but engine/kernels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from engine.errors import DeviceError

DeviceName = Literal["auto", "cpu", "cuda", "webgpu"]


@dataclass(frozen=True)
class Device:
    """Where tensors live and which rasterizer draws."""

    torch_device: str  # "cpu" or "cuda"
    rasterizer: str  # "numba", "webgpu", "nvdiffrast" or "reference"


def has_nvdiffrast() -> bool:
    """Whether nvdiffrast imports; it is used only where CUDA is there too."""
    return find_spec("nvdiffrast") is not None


def choose_device(name: DeviceName = "auto") -> Device:
    """The device for `name`; raises DeviceError when it is not on this machine.

    `auto` takes CUDA where torch finds it: with nvdiffrast, else with WebGPU where a GPU (not its software stand-in) is
    there to draw, else with the reference. Without CUDA it takes the CPU even where WebGPU finds a GPU: torch
    computes on the CPU then either way, the numba kernels take 2 ms of a 10 ms step for visibility, which is what a
    round trip over the bus costs, and their results are the same bits on every machine. `webgpu` takes the adapter of
    engine/kernels/adapters.py, a software one too; torch stays where CUDA is.
    """
    if name == "cpu":
        return Device("cpu", "numba")
    if name not in ("auto", "cuda", "webgpu"):
        raise DeviceError(f"--device {name}: unknown device; use auto, cpu, cuda or webgpu")
    if name == "webgpu":
        _check_adapter()
    import torch

    if torch.cuda.is_available():
        if name == "webgpu":
            return Device("cuda", "webgpu")
        if has_nvdiffrast():
            return Device("cuda", "nvdiffrast")
        return Device("cuda", "webgpu" if _has_real_gpu() else "reference")
    if name == "cuda":
        raise DeviceError("--device cuda: no CUDA device was found by torch; use --device cpu")
    return Device("cpu", "webgpu" if name == "webgpu" else "numba")


def without_webgpu(device: Device) -> Device:
    """What draws in the place of a WebGPU device that fails."""
    return Device(device.torch_device, "numba" if device.torch_device == "cpu" else "reference")


def _check_adapter() -> None:
    from engine.kernels.adapters import choose_adapter

    try:
        choose_adapter()
    except DeviceError as error:
        raise DeviceError(f"--device webgpu: {error}") from error


def _has_real_gpu() -> bool:
    from engine.kernels.adapters import choose_adapter

    try:
        return not choose_adapter().software
    except DeviceError:
        return False
