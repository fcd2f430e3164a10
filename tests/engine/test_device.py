"""Which back end each --device takes, on this machine and on machines that it pretends to be."""

import pytest
import torch

from engine import device
from engine.device import Device, choose_device
from engine.errors import DeviceError
from engine.kernels import adapters as found
from engine.kernels.adapters import Adapter


def machine(monkeypatch, cuda: bool, nvdiffrast: bool, kind: str | None) -> None:
    """Pretend to have CUDA, nvdiffrast and an adapter of `kind`."""
    monkeypatch.delenv("UNRENDER_GPU", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(device, "has_nvdiffrast", lambda: nvdiffrast)
    monkeypatch.setattr(found, "_adapters", lambda: () if kind is None else (Adapter("a", kind, "Vulkan", "", {}),))


@pytest.mark.parametrize(
    ("cuda", "nvdiffrast", "kind", "expected"),
    [
        (True, True, "discrete", Device("cuda", "nvdiffrast")),
        (True, False, "discrete", Device("cuda", "webgpu")),
        (True, False, "software", Device("cuda", "reference")),
        (True, False, None, Device("cuda", "reference")),
        (False, True, "discrete", Device("cpu", "numba")),
        (False, False, None, Device("cpu", "numba")),
    ],
)
def test_auto_takes_the_fastest_that_is_there(monkeypatch, cuda, nvdiffrast, kind, expected):
    machine(monkeypatch, cuda, nvdiffrast, kind)
    assert choose_device("auto") == expected


@pytest.mark.parametrize("cuda", [False, True])
def test_webgpu_draws_and_torch_stays_where_cuda_is(monkeypatch, cuda):
    machine(monkeypatch, cuda, False, "software")
    assert choose_device("webgpu") == Device("cuda" if cuda else "cpu", "webgpu")


def test_what_is_not_there_is_an_error(monkeypatch):
    machine(monkeypatch, False, False, None)
    with pytest.raises(DeviceError, match="--device webgpu: no WebGPU adapter.*mesa-vulkan-drivers.*--device cpu"):
        choose_device("webgpu")
    with pytest.raises(DeviceError, match="--device cuda: no CUDA device"):
        choose_device("cuda")
    with pytest.raises(DeviceError, match="unknown device; use auto, cpu, cuda or webgpu"):
        choose_device("abacus")
    assert choose_device("cpu") == Device("cpu", "numba")
