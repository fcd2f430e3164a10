"""The last stage: write asset or splats to exports/, read them back and compare their render with the one before."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.errors import GeometryError
from engine.exchange import check_export, write_environment, write_glb, write_obj, write_ply
from engine.exchange.atomic import remove_temporaries
from engine.exchange.check import FAULT_BELOW
from engine.optimize.export_splats import export_splats
from engine.optimize.refined_cameras import FILE, PREFIX, write_cameras
from engine.optimize.stage import Stage, StageContext, register
from engine.scene import Material

CHECKED_VIEWS = 4


@register
class ExportStage(Stage):
    """GLB, OBJ, PLY and light, or splats as PLY, SPZ and HTML, each written to a temporary name and renamed."""

    name = "export"

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("a mesh and its light", "splats")

    def begin(self, context: StageContext) -> None:
        self.context = context
        remove_temporaries(context.exports)

    def finish(self) -> None:
        if f"{PREFIX}lens" in self.context.scene.tensors:
            self._write_cameras()
        if self.context.scene.gaussians is not None and self.context.scene.mesh is None:
            export_splats(self.context)
        else:
            self._export_asset()

    def _write_cameras(self) -> None:
        context = self.context
        problem = write_cameras(context.exports / FILE, context.capture, context.scene.tensors)
        if problem:
            context.notice(problem)
        else:
            context.progress(self.name, 0.1, f"wrote {FILE}")

    def _export_asset(self) -> None:
        context, scene, options = self.context, self.context.scene, self.context.recipe.export
        if scene.mesh is None or scene.environment is None:
            raise GeometryError("stage export needs a mesh and its light: run the stage refine before it")
        folder, material = context.exports, scene.material or Material()
        folder.mkdir(parents=True, exist_ok=True)
        asset = folder / f"{options.name}.glb"
        write_glb(asset, scene.mesh, material, context.capture.up, options.name)
        context.progress(self.name, 0.4, f"wrote {asset.name}")
        if options.obj:
            write_obj(folder / f"{options.name}.obj", scene.mesh, material, up=context.capture.up)
        if options.ply:
            write_ply(folder / f"{options.name}.ply", scene.mesh, up=context.capture.up)
        write_environment(folder / "environment.hdr", scene.environment, context.capture.up)
        context.progress(self.name, 0.7, "reading the asset back")
        spread = np.linspace(0, len(context.capture.train) - 1, CHECKED_VIEWS).round().astype(int)
        cameras = [context.capture.frames[context.capture.train[i]].camera for i in sorted(set(spread.tolist()))]
        psnr = check_export(asset, scene.mesh, material, scene.environment, cameras)
        scene.values["export_psnr"] = psnr
        if psnr < FAULT_BELOW:
            context.notice(
                f"{asset}: rendered again it is {psnr:.1f} dB from the training render; the export is at fault"
            )
        context.progress(self.name, 1.0, f"{asset.name} re-renders at {psnr:.1f} dB")
