"""`unrender bench` and `unrender devices`: what this machine has and how fast it is."""

from __future__ import annotations

import importlib
import json

from rich.console import Console
from rich.table import Table

# Each module offers benchmarks() -> {name: {"value": float, "unit": str, "limit": float | None}}.
MODULES = (
    "engine.raster.bench",
    "engine.geometry.bench",
    "engine.shading.bench",
    "engine.optimize.bench_shape",
)


def bench(as_json: bool, only: str) -> int:
    """Run the benchmarks whose name contains `only`; exit code 0 also when a limit is missed, since machines differ."""
    results: dict[str, dict] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        results |= {key: value for key, value in module.benchmarks().items() if only in key}
    if as_json:
        print(json.dumps(results, indent=2))
        return 0
    table = Table("benchmark", "value", "limit", "")
    for name, result in results.items():
        limit = result.get("limit")
        lower_is_better = not result.get("higher_is_better", False)
        within = limit is None or (result["value"] <= limit if lower_is_better else result["value"] >= limit)
        bound = "" if limit is None else f"{'<=' if lower_is_better else '>='} {limit:g} {result['unit']}"
        table.add_row(name, f"{result['value']:.4g} {result['unit']}", bound, "" if within else "missed")
    Console().print(table)
    return 0


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
    print("webgpu: not in this version")
    print(f"auto takes: {chosen.torch_device}, rasterizer {chosen.rasterizer}")
    return 0
