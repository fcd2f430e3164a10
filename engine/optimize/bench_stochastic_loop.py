"""How long one step of the stochastic loop takes on this machine's WebGPU device, everything included."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

SIZE, TRIANGLES, VIEWS, LIMIT = 512, 20_000, 16, 40.0  # pixels, triangles, views, ms


def around(count: int, size: int) -> list:
    """Cameras on a sphere around the unit sphere, spread by the golden angle."""
    from engine.scene.camera import look_at

    height = 1 - 2 * (np.arange(count) + 0.5) / count
    angle, ring = np.arange(count) * np.pi * (3 - 5**0.5), np.sqrt(1 - height**2)
    places = 3 * np.stack([ring * np.cos(angle), ring * np.sin(angle), height], 1)
    return [look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0]), 1.1 * size, size, size) for place in places]


def bumpy_sphere_loop(triangle_count: int = TRIANGLES, size: int = SIZE, views: int = VIEWS, **options):
    """A loop from a sphere toward the normals of `displaced_icosphere` as `views` cameras see them."""
    from engine.kernels.webgpu import gpu
    from engine.optimize.stochastic import LoopOptions, LoopScene, LoopView, StochasticLoop
    from engine.raster.bench import displaced_icosphere

    vertices, triangles = displaced_icosphere(triangle_count)
    cameras = around(views, size)
    blank = [LoopView(camera, np.zeros((size, size, 3)), np.zeros((size, size))) for camera in cameras[:1]]
    settings, target = LoopOptions(**({"tone": "linear"} | options)), LoopScene(vertices.astype(np.float32), triangles)
    drawing = StochasticLoop(gpu(), target, blank, settings, "normal_color")
    images = [drawing.preview(camera) for camera in cameras]
    seen = [LoopView(camera, image[..., :3], image[..., 3]) for camera, image in zip(cameras, images, strict=True)]
    sphere = (vertices / np.linalg.norm(vertices, axis=1, keepdims=True)).astype(np.float32)
    return StochasticLoop(gpu(), LoopScene(sphere, triangles), seen, settings, "normal_color")


def loop_step_times() -> dict[str, dict]:
    """Steps that cycle through all views, each waited for; nothing is measured where no adapter is found."""
    from engine.errors import DeviceError

    try:
        loop = bumpy_sphere_loop()
    except DeviceError:
        return {}
    loop.step(4)
    loop.gpu.wait()
    times: list[float] = []
    end = time.perf_counter() + 4.0
    while len(times) < 2 * VIEWS or (time.perf_counter() < end and len(times) < 200):
        start = time.perf_counter()
        loop.step(1)
        loop.gpu.wait()
        times.append((time.perf_counter() - start) * 1e3)
    return {
        "stochastic_loop_step_min": {"value": float(min(times)), "unit": "ms", "limit": LIMIT},
        "stochastic_loop_step_median": {"value": float(np.median(times)), "unit": "ms", "limit": None},
    }


# Names of figures -> what measures them; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], dict[str, dict]]] = {
    ("stochastic_loop_step_min", "stochastic_loop_step_median"): loop_step_times
}
