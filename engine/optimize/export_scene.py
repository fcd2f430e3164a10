"""A scene to exports/: the asset with its light, or splats, and the cameras where they were refined; checked by
reading it back and drawing it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import GeometryError
from engine.exchange import check_export, write_environment, write_glb, write_obj, write_ply
from engine.exchange.asset_files import AssetReport, placed_together
from engine.exchange.atomic import remove_temporaries
from engine.exchange.check import FAULT_BELOW
from engine.optimize.export_splats import export_splats
from engine.optimize.refined_cameras import FILE, PREFIX, write_cameras
from engine.scene import Material

if TYPE_CHECKING:
    from engine.optimize.stage import StageContext

STAGE = "export"
CHECKED_VIEWS = 4


def export_scene(context: StageContext) -> None:
    """Write what `context.scene` holds to `context.exports`; no photo is decoded for it.

    GLB, OBJ, PLY and light, or splats as PLY, SPZ and HTML, which appear together when all are written and checked.
    Raises GeometryError where there is neither, ExchangeError, and Cancelled.
    """
    remove_temporaries(context.exports)
    if f"{PREFIX}lens" in context.scene.tensors:
        _write_cameras(context)
    if context.scene.gaussians is not None and context.scene.mesh is None:
        export_splats(context)
    else:
        _export_asset(context)


def _write_cameras(context: StageContext) -> None:
    problem = write_cameras(context.exports / FILE, context.capture, context.scene.tensors)
    if problem:
        context.notice(problem)
    else:
        context.progress(STAGE, 0.1, f"wrote {FILE}")


def _export_asset(context: StageContext) -> None:
    scene, options = context.scene, context.recipe.export
    if scene.mesh is None or scene.environment is None:
        raise GeometryError("stage export needs a mesh and its light: run the stage refine before it")
    report = placed_together(
        context.exports,
        options.name,
        lambda aside: _written(context, aside),
        lambda done, text: context.progress(STAGE, done, text),
    )
    scene.values["export_psnr"] = report.psnr
    for text in report.notices:
        context.notice(text)
    context.progress(STAGE, 1.0, f"{options.name}.glb re-renders at {report.psnr:.1f} dB")


def _written(context: StageContext, folder: Path) -> AssetReport:
    scene, options = context.scene, context.recipe.export
    material, asset = scene.material or Material(), folder / f"{options.name}.glb"
    write_glb(asset, scene.mesh, material, context.capture.up, options.name)
    context.progress(STAGE, 0.4, f"wrote {asset.name}")
    if options.obj:
        write_obj(folder / f"{options.name}.obj", scene.mesh, material, up=context.capture.up)
    if options.ply:
        write_ply(folder / f"{options.name}.ply", scene.mesh, up=context.capture.up)
    write_environment(folder / "environment.hdr", scene.environment, context.capture.up)
    context.progress(STAGE, 0.7, "reading the asset back")
    spread = np.linspace(0, len(context.capture.train) - 1, CHECKED_VIEWS).round().astype(int)
    cameras = [context.capture.frames[context.capture.train[i]].camera for i in sorted(set(spread.tolist()))]
    psnr = check_export(asset, scene.mesh, material, scene.environment, cameras)
    fault = f"{asset}: rendered again it is {psnr:.1f} dB from the training render; the export is at fault"
    return AssetReport(folder, psnr=psnr, notices=(fault,) * (psnr < FAULT_BELOW))
