"""Make the captures that the recipes toon, palette and subdivision are shown and measured on.

Run from the repository's root:

    python -m tests.tools.make_shaded_captures --out FOLDER [--only toon] [--size 192] [--views 56]

One object, a knobbed gourd with a painted texture: FOLDER/gourd.glb. FOLDER/toon and FOLDER/palette show it by the
shadings of those names, FOLDER/subdivision, with a grain on its colours, by the shading lamp.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import trimesh

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from engine.exchange import write_glb  # noqa: E402
from engine.exchange.synthesize import synthesize  # noqa: E402
from engine.geometry.bake_surface import dilate, surface_texels  # noqa: E402
from engine.geometry.unwrap import UnwrapOptions, unwrap  # noqa: E402
from engine.scene import Material, Mesh  # noqa: E402
from engine.shading.blackbox import open_shading  # noqa: E402

TEXELS = 512
COLORS = np.array([[0.85, 0.32, 0.06], [0.95, 0.72, 0.2], [0.15, 0.42, 0.12], [0.75, 0.12, 0.1]])  # linear
NAMES = ("toon", "palette", "subdivision")


def gourd(detail: int = 5) -> Mesh:
    """A closed surface about one unit wide: ribs, a waist, and knobs; +Y is up."""
    ball = trimesh.creation.icosphere(detail)
    x, y, z = ball.vertices.T
    around = np.arctan2(z, x)
    radius = 0.5 + 0.045 * np.cos(7 * around) * np.sqrt(np.clip(1 - y * y, 0, 1)) + 0.09 * np.cos(5.0 * y + 0.6)
    knobs = np.random.default_rng(4).normal(size=(14, 3))
    knobs /= np.linalg.norm(knobs, axis=1, keepdims=True)
    for knob in knobs:
        radius += 0.06 * np.exp((ball.vertices @ knob - 1) * 60)
    return Mesh((ball.vertices * radius[:, None] * (1, 1.2, 1)).astype(np.float32), ball.faces.astype(np.int32))


def paint(points: np.ndarray, soft: bool) -> np.ndarray:
    """[N,3] linear base colour at points [N,3]: bands and spots of four flat colours, `soft` with a grain."""
    x, y, z = points.T
    around = np.arctan2(z, x)
    band = np.where(y + 0.05 * np.sin(6 * around) > 0.12, 0, 1)
    band = np.where(y + 0.04 * np.sin(5 * around + 1) < -0.22, 2, band)
    spots = np.cos(9 * around) * np.cos(11 * y) > 0.72
    color = COLORS[np.where(spots, 3, band)]
    if soft:
        grain = np.sin(40 * x + 3 * np.sin(15 * y)) * np.sin(38 * z) * np.sin(36 * y)
        color = color * (1 + 0.45 * grain[:, None])
    return np.clip(color, 0.02, 1)


def write_object(path: Path, soft: bool) -> None:
    """The textured gourd as GLB."""
    mesh = unwrap(gourd(), UnwrapOptions(200_000, TEXELS, 4))
    texels = surface_texels(mesh, (TEXELS, TEXELS))
    texture = dilate(texels.image(paint(texels.positions, soft)), texels.filled)
    packed = np.full((1, 1, 3), (1.0, 0.55, 0.0), np.float32)
    write_glb(path, mesh, Material(np.ascontiguousarray(texture, np.float32), packed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--views", type=int, default=56)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in NAMES if arguments.only is None else (arguments.only,):
        lit = name == "subdivision"  # smoothly, so that a texture with a grain shows
        source = arguments.out / ("gourd_grained.glb" if lit else "gourd.glb")
        if not source.exists():
            write_object(source, soft=lit)
        shading = open_shading("lamp" if lit else name)
        synthesize(source, None, arguments.out / name, arguments.views, arguments.size, 16, shading=shading)
        print(f"wrote {arguments.out / name}", flush=True)


if __name__ == "__main__":
    main()
