"""Splats to exports/: PLY, SPZ and a page, and the check that what was written draws the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.optimize.evaluate_splats import BACKDROP
from engine.optimize.snapshot import SplatLook
from engine.optimize.splat_files import ANTIALIASED, SplatScene, write_splat_files
from engine.optimize.splat_gradient import shading_name

if TYPE_CHECKING:
    from engine.optimize.stage import StageContext

STAGE = "export"
VALUES = {".ply": "export_psnr", ".spz": "spz_psnr"}


def export_splats(context: StageContext) -> None:
    """Write the scene's splats; `export_psnr` of the read-back PLY and `spz_psnr` go into the scene's values."""
    scene, options, capture = context.scene, context.recipe.export, context.capture
    shading = shading_name(context.recipe)
    if shading is not None:
        context.notice(f"the files hold the splats' colours before the shading {shading}, which eval and render apply")
    if scene.backdrop is not None:
        shown = f"; {options.name}.html shows it" if options.html else ""
        context.notice(f"PLY and SPZ hold no environment: what is behind the splats is in {BACKDROP}{shown}")
    if scene.gaussians.antialiased:
        context.notice(ANTIALIASED)
    look = SplatLook.trained(context.recipe.splats, capture, scene.backdrop)
    cameras = tuple(capture.frames[index].camera for index in capture.train)
    report = write_splat_files(
        context.exports,
        options.name,
        ["ply"] + ["spz"] * options.spz + ["html"] * options.html,
        SplatScene(scene.gaussians, look, capture.up, cameras),
        lambda done, text: context.progress(STAGE, done, text),
        context.notice,
        BACKDROP,
    )
    for suffix, name in VALUES.items():
        scene.values.pop(name, None)
        if f"{options.name}{suffix}" in report.checked:
            scene.values[name] = report.checked[f"{options.name}{suffix}"]
    context.progress(STAGE, 1.0, f"{len(scene.gaussians):,} splats, {scene.gaussians.megabytes:.1f} MB")
