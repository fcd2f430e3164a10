"""`unrender bench` and `unrender devices`: what this machine has and how fast it is."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from engine.errors import RecipeError

# Each module has PARTS: names of figures -> a function that measures those, {name: {value, unit, limit}}.
MODULES = (
    "engine.raster.bench",
    "engine.geometry.bench",
    "engine.shading.bench",
    "engine.splats.bench",
    "engine.optimize.bench_shape",
    "engine.optimize.bench_splats",
    "engine.optimize.bench_stochastic",
    "engine.optimize.bench_stochastic_loop",
)


def bench(as_json: bool, only: str) -> int:
    """Measure the figures whose name contains `only`; 0 also when a limit is missed, since machines differ."""
    parts = {names: run for name in MODULES for names, run in importlib.import_module(name).PARTS.items()}
    wanted = [run for names, run in parts.items() if any(only in name for name in names)]
    if not wanted:
        known = ", ".join(name for names in parts for name in names)
        raise RecipeError(f"--only {only}: no benchmark has this in its name; there are {known}")
    results = {key: value for run in wanted for key, value in _on_one_thread(run).items() if only in key}
    if as_json:
        print(json.dumps(results, indent=2))
        return 0
    table = Table("benchmark", "value", "limit", "")
    for name, result in results.items():
        value, unit, limit = result["value"], result["unit"].removesuffix(" (at least)"), result["limit"]
        at_least = unit != result["unit"]
        within = limit is None or (value >= limit if at_least else value <= limit)
        bound = "" if limit is None else f"{'>=' if at_least else '<='} {limit:g} {unit}"
        table.add_row(name, f"{value:.4g} {unit}", bound, "" if within else "missed")
    Console().print(table)
    return 0


def _on_one_thread(run: Callable[[], dict[str, dict]]) -> dict[str, dict]:
    """As in a session: torch's pool of threads and numba's would fight for the same cores."""
    import torch

    from engine.kernels.memory import keep_freed_memory

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    try:
        return run()
    finally:
        torch.set_num_threads(threads)


def devices() -> int:
    """Print the back ends of this machine and the one that `auto` takes."""
    import os

    import torch

    from engine.device import choose_device, has_nvdiffrast
    from engine.kernels.settings import HAS_TBB

    chosen = choose_device("auto")
    print(f"cpu: {os.cpu_count()} cores, numba kernels on {'tbb' if HAS_TBB else 'numba’s own'} threads")
    if torch.cuda.is_available():
        print(f"cuda: {torch.cuda.get_device_name()}, nvdiffrast {'found' if has_nvdiffrast() else 'not installed'}")
    else:
        print("cuda: none found")
    for line in _adapter_lines():
        print(f"webgpu: {line}")
    print(f"auto takes: {chosen.torch_device}, rasterizer {chosen.rasterizer}")
    return 0


def _adapter_lines() -> list[str]:
    """Every WebGPU adapter with its kind and the limits that matter, and how to take another than the first."""
    from engine.errors import DeviceError
    from engine.kernels.adapters import CHOICE, adapters, choose_adapter

    try:
        found = adapters()
    except DeviceError as error:
        return [str(error)]
    lines = []
    for number, adapter in enumerate(found):
        binding = adapter.limits["max-storage-buffer-binding-size"] // 2**20
        buffer = adapter.limits["max-buffer-size"] // 2**20
        side = adapter.limits["max-texture-dimension-2d"]
        lines.append(
            f"{number}: {adapter.name}, {adapter.kind}, {adapter.backend}, {adapter.driver or 'driver unnamed'}; "
            f"buffers up to {buffer} MiB, {binding} MiB seen at once, images up to {side}x{side}"
        )
    try:
        chosen = choose_adapter()
    except DeviceError as error:
        return [*lines, str(error)]
    return [*lines, f"takes {found.index(chosen)}: {chosen.name} (set {CHOICE} to a number, kind or name for another)"]
