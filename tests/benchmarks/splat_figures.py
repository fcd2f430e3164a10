"""Times of splatting on the CPU: a point cloud as splats, forward and backward, by number of splats and image size.

    python tests/benchmarks/splat_figures.py POINTS.npz [--rounds 15] [--splatter numba]

POINTS.npz holds means3d [P,3], colors [P,3] uint8, viewmats [V,4,4] camera from world, Ks [V,3,3], width and height.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numba
import numpy as np
import torch
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.scene import Camera, Gaussians  # noqa: E402
from engine.splats import numba_splatter, splatter  # noqa: E402
from engine.splats.constants import ALPHA_MAX, ALPHA_MIN, STOP, TILE  # noqa: E402
from engine.splats.numba_project import OPACITY, A, B, C, X, Y  # noqa: E402
from engine.splats.parameters import SplatTensors  # noqa: E402

SIZES = ((480, 270), (960, 540))
COUNTS = (10_000, 50_000, 200_000, 500_000)


def cloud(points: np.lib.npyio.NpzFile, count: int, degree: int = 3) -> Gaussians:
    """A random subset (beyond what there is: jittered copies) at opacity 0.1, as wide as three neighbours are far."""
    random = np.random.default_rng(0)
    known, shades = points["means3d"], points["colors"].reshape(-1, 3) / 255
    chosen = np.concatenate([random.permutation(len(known)) for _ in range(-(-count // len(known)))])[:count]
    means = known[chosen].astype(np.float64)
    means[len(known) :] += random.normal(size=means[len(known) :].shape) * 0.01
    distance = cKDTree(means).query(means, 4)[0][:, 1:].mean(1)
    harmonics = random.normal(size=(count, (degree + 1) ** 2, 3)) * 0.02
    harmonics[:, 0] = (shades[chosen] - 0.5) / 0.28209479
    return Gaussians(
        means.astype(np.float32),
        random.normal(size=(count, 4)).astype(np.float32),
        np.log(np.maximum(distance, 1e-6))[:, None].repeat(3, 1).astype(np.float32),
        np.full(count, np.log(0.1 / 0.9), np.float32),
        harmonics.astype(np.float32),
    )


def camera(points: np.lib.npyio.NpzFile, index: int, width: int, height: int) -> Camera:
    """One of the cloud's cameras at another size."""
    matrix = points["Ks"][index]
    pose = np.linalg.inv(points["viewmats"][index].astype(np.float64))
    whole = (int(points["width"]), int(points["height"]))
    own = Camera(pose, (matrix[0, 0], matrix[1, 1]), (matrix[0, 2], matrix[1, 2]), *whole)
    return own.resized(width, height)


@numba.njit
def blended(width, height, columns, starts, splats, ellipses):
    """The mean number of splats that a pixel blends, from what compositing is given."""
    total = 0
    for row in range(height):
        for column in range(width):
            tile, clear = (row // TILE) * columns + column // TILE, 1.0
            for place in range(starts[tile], starts[tile + 1]):
                ellipse = ellipses[splats[place]]
                dx, dy = column + 0.5 - ellipse[X], row + 0.5 - ellipse[Y]
                q = (ellipse[A] * dx + ellipse[B] * dy) ** 2 + (ellipse[C] * dy) ** 2
                alpha = min(ellipse[OPACITY] * np.exp(-q / 2), ALPHA_MAX)
                if alpha >= ALPHA_MIN:
                    clear *= 1 - alpha
                    if clear < STOP:
                        break
                    total += 1
    return total / (width * height)


def depth_complexity(splats: SplatTensors, view: Camera) -> float:
    """How many splats a pixel blends on average."""
    kept = []
    plain = numba_splatter.composite
    numba_splatter.composite = lambda *given: (kept.append(given[:6]), plain(*given))
    try:
        numba_splatter.NumbaSplatter().render(splats, view)
    finally:
        numba_splatter.composite = plain
    return blended(*kept[0])


def milliseconds(name: str, splats: SplatTensors, view: Camera, rounds: int) -> tuple[float, float, float]:
    """(median forward, median of both, fastest of both) in ms."""
    slope, implementation = torch.randn(*view.size, 3), splatter(name)
    forward, both = [], []
    for _ in range(rounds + 1):
        since = time.perf_counter()
        image = implementation.render(splats, view)
        between = time.perf_counter()
        (image.color * slope).sum().backward()
        forward.append(1000 * (between - since))
        both.append(1000 * (time.perf_counter() - since))
        for tensor in splats.tensors().values():
            tensor.grad = None
    return float(np.median(forward[1:])), float(np.median(both[1:])), min(both[1:])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("points", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--splatter", default="numba")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    points = np.load(given.points)
    print(
        "| splats | image | forward ms | forward + backward ms (fastest) | seen | blended per pixel | bytes per splat |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in given.counts:
        own = cloud(points, count)
        splats = SplatTensors.of(own)
        for tensor in splats.tensors().values():
            tensor.requires_grad_()
        for width, height in SIZES:
            view = camera(points, 0, width, height)
            forward, both, fastest = milliseconds(given.splatter, splats, view, given.rounds)
            seen = int((splatter(given.splatter).render(splats, view).radii > 0).sum())
            row = [f"{count:,}", f"{width}x{height}", f"{forward:.1f}", f"{both:.1f} ({fastest:.1f})", f"{seen:,}"]
            row += [f"{depth_complexity(splats, view):.1f}", f"{1e6 * own.megabytes / count:.0f}"]
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
