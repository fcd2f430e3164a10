"""Which back ends this machine has, and which one to use; knows no other room."""

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
    rasterizer: str  # "numba", "nvdiffrast" or "reference"


def has_nvdiffrast() -> bool:
    """Whether nvdiffrast imports; it is used only where CUDA is there too."""
    return find_spec("nvdiffrast") is not None


def choose_device(name: DeviceName = "auto") -> Device:
    """The device for `name`; `auto` takes CUDA with nvdiffrast where both are there, else the CPU.

    Raises DeviceError when the named device is not on this machine.
    """
    if name == "cpu":
        return Device("cpu", "numba")
    if name == "webgpu":
        raise DeviceError("--device webgpu: this version has no WebGPU rasterizer yet; use --device cpu or cuda")
    if name not in ("auto", "cuda"):
        raise DeviceError(f"--device {name}: unknown device; use auto, cpu, cuda or webgpu")
    import torch

    if torch.cuda.is_available():
        return Device("cuda", "nvdiffrast" if has_nvdiffrast() else "reference")
    if name == "cuda":
        raise DeviceError("--device cuda: no CUDA device was found by torch; use --device cpu")
    return Device("cpu", "numba")
