"""How long FlexiCubes, large steps and the mesh regularizers take on this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

MEMORY_SCRIPT = """
import torch
torch.set_num_threads(1)
from engine.geometry.bench import flexicubes_step, peak_megabytes
step = flexicubes_step({resolution}, optimize=False)
step(); step()
print(peak_megabytes())
"""


def fastest(step: Callable[[], object], seconds: float = 1.5, least: int = 5) -> float:
    """Milliseconds of the fastest of at least `least` runs within about `seconds`, after one to warm up."""
    step()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or (time.perf_counter() < end and len(times) < 200):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # there getrusage would count what the parent had at the fork
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return float(line.split()[1]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def flexicubes_step(resolution: int, optimize: bool) -> Callable[[], None]:
    """Extraction (fan) of a sphere of 0.7 in [-1,1]^3, its backward pass, and LazyAdam if asked."""
    from engine.geometry.flexicubes import FlexiCubes, LazyAdam

    axis = np.linspace(-1, 1, resolution + 1, dtype=np.float32)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    surface = FlexiCubes.from_field(np.sqrt(x * x + y * y + z * z) - 0.7, np.array([[-1.0] * 3, [1.0] * 3]))
    optimizer = LazyAdam(surface.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        extraction = surface.extract()
        (extraction.vertices.sum() + extraction.l_dev + extraction.entropy).backward()
        if optimize:
            optimizer.step(rows=surface.active_rows(extraction))

    return step


def sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """(vertices [V,3], triangles [F,3]) of a unit icosphere; 4 gives 5k triangles, 5 gives 20k."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions)
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)


def _memory(resolution: int) -> float:
    """Peak resident megabytes of a fresh process that extracts and goes backward; torch and compiled code included."""
    script = MEMORY_SCRIPT.format(resolution=resolution)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(run.stdout)


def flexicubes_times(resolution: int, limit: float) -> dict[str, dict]:
    """Extraction and backward, without and with the optimizer."""
    name = f"flexicubes_{resolution}"
    plain, with_optimizer = (fastest(flexicubes_step(resolution, optimize)) for optimize in (False, True))
    return {
        f"{name}_forward_backward": {"value": plain, "unit": "ms", "limit": limit},
        f"{name}_with_optimizer": {"value": with_optimizer, "unit": "ms", "limit": None},
    }


def large_steps_time(subdivisions: int, name: str, limit: float) -> dict[str, dict]:
    """One solve of the large-steps system."""
    from engine.geometry.free_mesh import FreeMesh

    vertices, triangles = sphere(subdivisions)
    mesh = FreeMesh(vertices, triangles)
    milliseconds = fastest(lambda: mesh.system.solve(vertices), 0.3)
    return {f"large_steps_solve_{name}": {"value": milliseconds, "unit": "ms", "limit": limit}}


# Names of figures -> what measures them; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], dict[str, dict]]] = {
    ("flexicubes_64_forward_backward", "flexicubes_64_with_optimizer"): lambda: flexicubes_times(64, 60.0),
    ("flexicubes_96_forward_backward", "flexicubes_96_with_optimizer"): lambda: flexicubes_times(96, 150.0),
    ("large_steps_solve_5k",): lambda: large_steps_time(4, "5k", 1.0),
    ("large_steps_solve_20k",): lambda: large_steps_time(5, "20k", 5.0),
    ("flexicubes_96_memory",): lambda: {"flexicubes_96_memory": {"value": _memory(96), "unit": "MB", "limit": 800.0}},
}
