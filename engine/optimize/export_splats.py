"""Splats to exports/: PLY, SPZ and a page, and the check that what was written draws the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.exchange.backdrop import write_backdrop
from engine.exchange.splat_html import write_splat_html
from engine.exchange.splats import read_splats, write_splats
from engine.optimize.evaluate import rendered_on_white
from engine.optimize.evaluate_splats import BACKDROP, splat_renderer
from engine.optimize.metrics import psnr
from engine.optimize.snapshot import SplatLook
from engine.optimize.splat_gradient import shading_name

if TYPE_CHECKING:
    from engine.optimize.stage import StageContext

STAGE = "export"
CHECKED_VIEWS = 4
FAULT_BELOW = 35.0  # dB
BEST = 99.0  # dB, of images that are equal


def export_splats(context: StageContext) -> None:
    """Write the scene's splats; `export_psnr` of the read-back PLY and `spz_psnr` go into the scene's values."""
    splats, options, capture = context.scene.gaussians, context.recipe.export, context.capture
    folder = context.exports
    folder.mkdir(parents=True, exist_ok=True)
    cameras = [capture.frames[index].camera for index in capture.train]
    shading = shading_name(context.recipe)
    if shading is not None:
        context.notice(f"the files hold the splats' colours before the shading {shading}, which eval and render apply")
    written = [folder / f"{options.name}.ply"]
    if options.spz:
        written.append(folder / f"{options.name}.spz")
    for done, path in enumerate(written):
        write_splats(path, splats, context.notice, capture.up)
        context.progress(STAGE, 0.2 + 0.2 * done, f"wrote {path.name}")
    backdrop = context.scene.backdrop
    if backdrop is not None:
        write_backdrop(folder / BACKDROP, backdrop, capture.up)
        shown = f"; {options.name}.html shows it" if options.html else ""
        context.notice(f"PLY and SPZ hold no environment: what is behind the splats is in {BACKDROP}{shown}")
    if options.html:
        background = SplatLook.trained(context.recipe.splats, capture, backdrop).background or (0.0, 0.0, 0.0)
        write_splat_html(folder / f"{options.name}.html", splats, cameras, capture.up, options.name, background)
        context.progress(STAGE, 0.6, f"wrote {options.name}.html")
    chosen = sorted(set(np.linspace(0, len(cameras) - 1, CHECKED_VIEWS).round().astype(int).tolist()))
    expected = _images(context, splats, [cameras[i] for i in chosen])
    for path in written:
        again = _images(context, read_splats(path), [cameras[i] for i in chosen])
        value = min(BEST, float(np.mean([psnr(a, b) for a, b in zip(again, expected, strict=True)])))
        context.scene.values["export_psnr" if path is written[0] else "spz_psnr"] = value
        if value < FAULT_BELOW:
            context.notice(f"{path}: drawn again it is {value:.1f} dB from the splats that were trained")
    context.progress(STAGE, 1.0, f"{len(splats):,} splats, {splats.megabytes:.1f} MB")


def _images(context: StageContext, splats, cameras) -> list[np.ndarray]:
    renderer = splat_renderer(splats, context.recipe.splats, context.capture, context.scene.backdrop)
    return [rendered_on_white(renderer, camera) for camera in cameras]
