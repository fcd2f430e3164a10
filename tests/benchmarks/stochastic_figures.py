"""Figures of the stochastic loop on this machine's WebGPU device: `python tests/benchmarks/stochastic_figures.py`.

    sphere    a sphere of 20k triangles toward the normals of a bumpy one, 16 photos of 512x512: steps and seconds until
              24 dB, and dB after 400 steps, of the loop and of the analytic engine (numba, antialiased silhouettes,
              large steps) in turn; each at the best of the rates that were tried
    texture   a 512x512 texture on a known globe from grey, 16 photos of 512x512: dB after 300 steps
    step      milliseconds of one step of the loop, as `unrender bench --only stochastic_loop` has them

Name some to measure only those. Seconds are of the steps alone; the pictures that are compared in between are drawn by
the processor's exact rasterizer for both engines and count for neither. `--seed N` draws other signs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SIZE, VIEWS, AIM = 512, 16, 24.0  # pixels, photos, dB
LOOK = 10  # steps between two measurements


def normal_image(vertices, triangles, camera, antialiased=None):
    """[H,W,4] premultiplied normal colour and alpha; differentiable where `antialiased` edges are given."""
    import torch

    from engine.geometry.normals import vertex_normals
    from engine.raster import rasterizer

    raster = rasterizer("numba")
    matrix = torch.tensor(camera.clip_from_world(1.0, 5.0), dtype=torch.float32)
    clip = vertices @ matrix[:, :3].T + matrix[:, 3]
    buffer = raster.visibility(clip, triangles, camera.size)
    normal = raster.interpolate(vertex_normals(vertices, triangles), triangles, buffer)
    color = 0.5 * torch.nn.functional.normalize(normal, dim=1) + 0.5
    image = raster.compose(torch.cat([color, torch.ones_like(color[:, :1])], 1), buffer, torch.zeros(4))
    return image if antialiased is None else raster.coverage(image, clip, triangles, buffer, antialiased)


def psnr(vertices: np.ndarray, triangles, views) -> float:
    """Mean dB over the views of premultiplied colour, drawn with hard edges."""
    import torch

    values = []
    for view in views:
        with torch.no_grad():
            image = normal_image(torch.from_numpy(vertices), triangles, view.camera)[..., :3].numpy()
        values.append(-10 * np.log10(np.mean((image - view.color) ** 2, dtype=np.float64)))
    return float(np.mean(values))


def analytic_stepper(loop, triangles, rate: float, smoothness: float, steps: int):
    """(a step, the vertices) of the analytic engine on the same photos in the same order."""
    import torch

    from engine.geometry.free_mesh import FreeMesh, UniformAdam
    from engine.raster.contract import EdgeTable

    edges = EdgeTable.from_triangles(triangles, len(loop.scene.vertices))
    mesh = FreeMesh(loop.scene.vertices, loop.scene.triangles, smoothness)
    optimizer = UniformAdam(mesh.parameters(), lr=rate)
    targets = [torch.from_numpy(np.concatenate([v.color, v.alpha[..., None]], -1)) for v in loop.views]
    count = 0

    def step() -> None:
        nonlocal count
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.1 ** (count / steps)
        view = loop.view_of("vertices", count)
        optimizer.zero_grad(set_to_none=True)
        image = normal_image(mesh.vertices(), triangles, loop.views[view].camera, edges)
        difference = image - targets[view]
        loss = difference[..., :3].abs().mean() + 0.2 * difference[..., 3].square().mean()
        loss.backward()
        optimizer.step()
        count += 1

    return step, lambda: mesh.vertices().detach().numpy()


def course(step: Callable[[], None], vertices: Callable[[], np.ndarray], triangles, views, steps: int) -> dict:
    """Steps and seconds until AIM dB (None where it is not reached) and what was reached at the end."""
    seconds, reached = 0.0, None
    value = 0.0
    for index in range(0, steps, LOOK):
        start = time.perf_counter()
        for _ in range(LOOK):
            step()
        found = vertices()  # waits
        seconds += time.perf_counter() - start
        value = psnr(found, triangles, views)
        if reached is None and value >= AIM:
            reached = index + LOOK, seconds
    return {"steps": reached and reached[0], "seconds": reached and reached[1], "psnr": value, "all": seconds}


def sphere(seed: int, steps: int = 400) -> None:
    """Both engines on the bumpy sphere."""
    import torch

    from engine.optimize.bench_stochastic_loop import bumpy_sphere_loop

    torch.set_num_threads(1)
    loop = bumpy_sphere_loop(size=SIZE, views=VIEWS, steps=steps, seed=seed)
    triangles = torch.from_numpy(loop.scene.triangles)
    print(f"sphere: {loop.gpu.adapter.name}, start {psnr(loop.scene.vertices, triangles, loop.views):.2f} dB")
    loop.step(2)  # compiles
    loop = bumpy_sphere_loop(size=SIZE, views=VIEWS, steps=steps, seed=seed)
    report("stochastic", course(lambda: loop.step(1), loop.vertices, triangles, loop.views, steps))
    for rate, smoothness in ((0.03, 19.0), (0.06, 19.0), (0.03, 8.0)):
        analytic_stepper(loop, triangles, rate, smoothness, steps)[0]()  # compiles
        step, vertices = analytic_stepper(loop, triangles, rate, smoothness, steps)
        title = f"analytic, rate {rate}, lambda {smoothness:g}"
        report(title, course(step, vertices, triangles, loop.views, steps))


def report(title: str, result: dict) -> None:
    reached = "never" if result["steps"] is None else f"after {result['steps']} steps, {result['seconds']:.1f} s"
    print(f"sphere, {title}: {AIM:g} dB {reached}; {result['psnr']:.2f} dB after {result['all']:.1f} s", flush=True)


def texture(seed: int, steps: int = 300) -> None:
    """A texture on geometry that is known."""
    from dataclasses import replace

    from engine.kernels.webgpu import gpu
    from engine.optimize.stochastic import LoopOptions, StochasticLoop
    from tests.engine.optimize.stochastic.loop_scenes import blotches, cameras, globe_scene, pictures, texture_of

    fine = np.kron(np.random.default_rng(1).uniform(-0.15, 0.15, (64, 64, 3)), np.ones((8, 8, 1)))
    wanted = globe_scene(texture_of(np.clip(blotches(512) + fine, 0, 1).astype(np.float32)), 128, 64)
    views = pictures(gpu(), wanted, cameras(VIEWS, SIZE), "flat_color", "base_color")
    grey = replace(wanted, texture=texture_of(np.full((512, 512, 3), 0.5)))
    options = LoopOptions(order=("base_color",), tone="linear", steps=steps, seed=seed)
    loop = StochasticLoop(gpu(), grey, views, options, "flat_color")
    before = loop.psnr()
    start = time.perf_counter()
    loop.step(steps)
    loop.gpu.wait()
    seconds = time.perf_counter() - start
    print(f"texture: {before:.2f} dB to {loop.psnr():.2f} dB in {steps} steps, {seconds:.1f} s", flush=True)


def step(seed: int) -> None:
    """What one step takes."""
    from engine.optimize.bench_stochastic_loop import loop_step_times

    for name, figure in loop_step_times().items():
        print(f"{name}: {figure['value']:.1f} {figure['unit']}", flush=True)


FIGURES = {"sphere": sphere, "texture": texture, "step": step}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], default=[])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.figures or FIGURES:
        FIGURES[name](arguments.seed)
