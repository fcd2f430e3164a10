"""What this machine has to run WGSL on, and which of it to use; imports wgpu when first asked.

Order: discrete before integrated before virtual before software; of one kind Vulkan, Metal and DX12 before OpenGL,
which is looked for only where nothing else is found. The environment variable UNRENDER_GPU forces a choice: a number
of the list that `unrender devices` prints, a kind (`software`, ...), or a part of an adapter's name.
"""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import DeviceError

CHOICE = "UNRENDER_GPU"
KINDS = ("discrete", "integrated", "virtual", "software")
_KIND = {"DiscreteGPU": "discrete", "IntegratedGPU": "integrated", "CPU": "software"}
_BACKENDS = ("Vulkan", "Metal", "D3D12", "OpenGL", "OpenGLES")
NONE_FOUND = (
    "no WebGPU adapter was found: install a graphics driver with Vulkan (on Debian and Ubuntu the package "
    "mesa-vulkan-drivers has one, and software Vulkan for machines without a GPU)"
)
CPU_WAY = ", or use --device cpu"


@dataclass(frozen=True)
class Adapter:
    """A GPU, or a program that stands in for one."""

    name: str
    kind: Literal["discrete", "integrated", "virtual", "software"]
    backend: str  # Vulkan, Metal, D3D12, OpenGL
    driver: str  # as the driver calls itself and its version; may be empty
    limits: dict[str, int]  # of WebGPU, such as max-storage-buffer-binding-size in bytes
    native: Any = field(repr=False, compare=False, default=None)  # wgpu.GPUAdapter

    @property
    def software(self) -> bool:
        """Whether it runs on the processor, good for correctness but not for speed."""
        return self.kind == "software"


def _order(adapter: Adapter) -> tuple[int, int]:
    backend = _BACKENDS.index(adapter.backend) if adapter.backend in _BACKENDS else len(_BACKENDS)
    return KINDS.index(adapter.kind), backend


def _enumerate() -> list[Any]:
    """wgpu's adapters; without Mesa's device-select layer, which asks Wayland and complains where there is none."""
    try:
        import wgpu
        from wgpu.backends.wgpu_native import _helpers
        from wgpu.backends.wgpu_native.extras import set_instance_extras
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(f"the package wgpu does not load ({error}); reinstall it", CPU_WAY) from error
    if "WGPUPY_LOG_LEVEL" not in os.environ:  # what it logs is raised as well, in our words
        logger = logging.getLogger("wgpu")
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    quiet = "NODEVICE_SELECT" not in os.environ
    if quiet:
        os.environ["NODEVICE_SELECT"] = "1"
    try:
        for backends in ("Primary", "All"):
            if _helpers._the_instance is None:
                set_instance_extras(backends=[backends])
            found = wgpu.gpu.enumerate_adapters_sync()
            if found or backends == "All":
                return found
            _helpers._the_instance = None  # nothing was made from it
    finally:
        if quiet:
            del os.environ["NODEVICE_SELECT"]
    return []


@functools.cache
def _adapters() -> tuple[Adapter, ...]:
    found = []
    for native in _enumerate():
        about = native.info
        kind = _KIND.get(about["adapter_type"], "virtual")
        limits = {name: int(value) for name, value in dict(native.limits).items()}
        found.append(Adapter(about["device"], kind, about["backend_type"], about["description"], limits, native))
    return tuple(sorted(found, key=_order))


def adapters() -> list[Adapter]:
    """Every adapter of this machine, the best first; empty where there is none. Raises DeviceError without wgpu."""
    return list(_adapters())


def choose_adapter(wanted: str | None = None) -> Adapter:
    """The first adapter, or the one that `wanted` (by default the environment variable UNRENDER_GPU) names.

    Raises DeviceError where there is no adapter or none that is meant.
    """
    listed = adapters()
    if not listed:
        raise DeviceError(NONE_FOUND, CPU_WAY)
    wanted = (os.environ.get(CHOICE, "") if wanted is None else wanted).strip()
    if not wanted:
        return listed[0]
    if wanted.isdigit() and int(wanted) < len(listed):
        return listed[int(wanted)]
    for adapter in listed:
        if wanted.lower() == adapter.kind or (not wanted.isdigit() and wanted.lower() in adapter.name.lower()):
            return adapter
    there = ", ".join(f"{i}: {adapter.name} ({adapter.kind})" for i, adapter in enumerate(listed))
    raise DeviceError(f"{CHOICE}={wanted}: no adapter is called so; there are {there}")
