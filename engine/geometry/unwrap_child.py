"""Run as a program: unwraps the mesh in one file with xatlas and writes the atlas to another; imports no engine."""

from __future__ import annotations

import os
import sys
import traceback

import numpy as np
import xatlas

# Trying every place packs tighter, but with many charts into an oblong; then the quick way is better and faster.
BRUTE_FORCE_CHARTS = 500
CHART_RESOLUTION = 512
# No chart larger than this share of the surface: growing large ones takes long and stretches them.
LARGEST_CHART = 1 / 20
PACK_TRIES = 12

# Every atlas made, for ever: destroyed, each joins its threads, and xatlas wakes them without holding their lock, so
# that now and then one sleeps on and the join never returns.
KEPT: list[xatlas.Atlas] = []


def new_atlas() -> xatlas.Atlas:
    """An empty atlas that is never destroyed."""
    KEPT.append(xatlas.Atlas())
    return KEPT[-1]


def flattened(vertices: np.ndarray, triangles: np.ndarray, rounds: int) -> np.ndarray:
    """Vertices [V,3] smoothed along their normals: roughness would break the surface into a great many charts."""
    # Vertices at one place move as one, or the seams of earlier texture coordinates would open.
    vertices, weld = np.unique(vertices, axis=0, return_inverse=True)
    vertices, weld = vertices.astype(np.float64), weld.reshape(-1)
    triangles = weld[triangles]
    ends = np.concatenate([triangles, np.roll(triangles, 1, axis=1)]).reshape(-1)
    starts = np.concatenate([np.roll(triangles, 1, axis=1), triangles]).reshape(-1)
    degree = np.maximum(np.bincount(starts, minlength=len(vertices)), 1)[:, None]
    for _ in range(rounds):
        a, b, c = (vertices[triangles[:, k]] for k in range(3))
        face = np.cross(b - a, c - a)
        normal, mean = np.zeros_like(vertices), np.zeros_like(vertices)
        for axis in range(3):
            mean[:, axis] = np.bincount(starts, vertices[ends, axis], len(vertices))
            for k in range(3):
                normal[:, axis] += np.bincount(triangles[:, k], face[:, axis], len(vertices))
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
        step = 0.5 * (mean / degree - vertices)
        vertices += np.where(degree > 1, normal * (normal * step).sum(1, keepdims=True), 0.0)
    return vertices[weld].astype(np.float32)


def charts(vertices: np.ndarray, triangles: np.ndarray, iterations: int):
    """(vertex of each corner [T], corner triangles [F,3], corner positions [T,2] in a common unit, chart count)."""
    atlas = new_atlas()
    atlas.add_mesh(vertices, triangles)
    growing = xatlas.ChartOptions()
    growing.max_iterations = iterations
    a, b, c = (vertices[triangles[:, k]].astype(np.float64) for k in range(3))
    growing.max_chart_area = LARGEST_CHART * 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())
    growing.fix_winding = True
    packing = xatlas.PackOptions()
    packing.resolution = CHART_RESOLUTION
    packing.bruteForce = packing.bilinear = False
    packing.rotate_charts = packing.rotate_charts_to_axis = False
    atlas.generate(growing, packing)
    source, corners, places = atlas.get_mesh(0)
    return source, corners, places * np.float32([atlas.width, atlas.height]), atlas.chart_count


def packed(places: np.ndarray, corners: np.ndarray, count: int, limit: float, padding: int):
    """(old corner of each [T'], corner triangles [F,3], uv [T',2], width, height), at most `limit` cells."""
    a, b, c = (places[corners[:, k]].astype(np.float64) for k in range(3))
    area = 0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum()
    density = limit * np.sqrt(0.6 / max(area, 1e-12))
    best, largest = None, 0
    for _ in range(PACK_TRIES):
        atlas = new_atlas()
        atlas.add_uv_mesh(np.ascontiguousarray(places, np.float32), corners)
        packing = xatlas.PackOptions()
        packing.resolution = 0
        packing.texels_per_unit = float(density)
        packing.padding = padding
        packing.bruteForce = count <= BRUTE_FORCE_CHARTS
        packing.rotate_charts = False  # which would mirror them
        atlas.generate(xatlas.ChartOptions(), packing)
        size = max(atlas.width, atlas.height)
        if largest < size <= limit:
            best, largest = (*atlas.get_mesh(0), atlas.width, atlas.height), size
        if 0.93 * limit <= size <= limit:
            break
        density *= min(0.97 * limit / size, 4.0)
    return best


def main(source: str, target: str) -> None:
    """Read arguments and mesh from the npz file `source`, write the atlas to the npz file `target`."""
    with np.load(source) as given:
        vertices, triangles = given["vertices"], given["triangles"]
        limit, padding = float(given["limit"]), int(given["padding"])
        rounds, iterations = int(given["smoothing"]), int(given["iterations"])
    first, corners, places, count = charts(flattened(vertices, triangles, rounds), triangles, iterations)
    found = packed(places, corners, count, limit, padding)
    if found is None:
        sys.exit(f"{count} charts do not fit the texture")
    second, corners, uv, width, height = found
    np.savez(target, source=first[second], corners=corners, uv=uv, size=np.array([width, height]), charts=count)


if __name__ == "__main__":
    failed = True
    try:
        main(sys.argv[1], sys.argv[2])
        failed = False
    except SystemExit as wrong:
        print(wrong, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(failed)  # as an interpreter that ends in order destroys the atlases
