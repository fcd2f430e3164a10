"""Figures of black-box shading and subdivision: the recipes toon, palette and subdivision on their own captures.

Run from the repository's root; 5 to 10 minutes on two quiet cores with lavapipe:

    python tests/benchmarks/blackbox_figures.py [--only toon] [--captures FOLDER] [--analytic]

Captures are made first (tests/tools/make_shaded_captures.py) unless FOLDER has them. --analytic also fits the toon
photos with the analytic engine's own shading, from the same mesh, as stage refine does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from engine.capture import open_capture  # noqa: E402
from engine.errors import RecipeError  # noqa: E402
from engine.optimize.recipe import load_recipe  # noqa: E402
from engine.optimize.session import Session  # noqa: E402
from engine.shading.blackbox import open_shading  # noqa: E402
from engine.shading.points import SurfacePoints  # noqa: E402

NAMES = ("toon", "palette", "subdivision")


def moved_share(name: str) -> float:
    """The share of random points whose colour changes at all when normal and base colour move by 1e-6."""
    random = np.random.default_rng(0)
    normal, toward = random.normal(size=(2, 20000, 3))
    normal, toward = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (normal, toward))
    color, one = random.random((20000, 3)), np.ones(20000, np.float32)
    turned = normal + 1e-6 * random.normal(size=normal.shape)
    shading = open_shading(name)
    fixed = np.asarray(color, np.float32)
    images = [
        shading.shade(SurfacePoints(*(np.float32(a) for a in (n, toward)), fixed, one, one)) for n in (normal, turned)
    ]
    return float((images[0] != images[1]).any(1).mean())


def run(name: str, captures: Path, out: Path, overrides: list[str], stages: tuple[str, ...] = ()) -> None:
    """One recipe from photos to metrics, one line."""
    recipe = load_recipe(name, overrides)
    if stages:
        recipe.stages = stages
    since = time.monotonic()
    with Session.create(captures / name, recipe, out, device="cpu") as session:
        session.run()
        metrics = session.evaluate()
        steps = {record["name"]: (record["steps"], record["seconds"]) for record in session.stage_records}
    (count, seconds) = next(value for key, value in steps.items() if value[0])
    label = f"{name} (analytic)" if stages else name
    print(
        f"{label}: {metrics['psnr']:.2f} dB on white, {metrics['psnr_masked']:.2f} dB in the mask, "
        f"ssim {metrics['ssim']:.3f}, hull {metrics['hull_psnr']:.2f} dB, {metrics['faces']:,} faces, {count} steps, "
        f"{seconds / max(count, 1) * 1e3:.0f} ms/step, {time.monotonic() - since:.0f} s in all",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--captures", type=Path)
    parser.add_argument("--analytic", action="store_true")
    parser.add_argument("--set", nargs="*", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        captures = arguments.captures or Path(folder) / "captures"
        for name in NAMES if arguments.only is None else (arguments.only,):
            if not (captures / name).exists():
                tool = [sys.executable, "-m", "tests.tools.make_shaded_captures", "--out", str(captures)]
                subprocess.run([*tool, "--only", name], check=True)
            lit = ["shading.name=lamp"] if name == "subdivision" else []
            run(name, captures, Path(folder) / name, lit + arguments.set)
        if arguments.only in (None, "toon"):
            for name in ("toon", "palette"):
                print(f"{name}: {100 * moved_share(name):.3f} % of points change when normals turn by 1e-6")
            try:
                recipe = load_recipe("toon", ["optimize.gradient=analytic"])
                Session.create(open_capture(captures / "toon"), recipe, Path(folder) / "refused", device="cpu")
            except RecipeError as error:
                print(f"analytic: {error}")
        if arguments.analytic:
            options = ["optimize.gradient=analytic", "refine.steps=500", "refine.image_size=0"]
            run("toon", captures, Path(folder) / "analytic", options, ("hull", "cage", "refine", "export"))


if __name__ == "__main__":
    main()
