"""From trained splats to a distance field: the depth that each training photo's camera sees of them, fused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.capture.hull import carve, object_box
from engine.errors import GeometryError
from engine.exchange import write_ply
from engine.geometry.fusion import fused_distance
from engine.optimize.evaluate_splats import splat_renderer
from engine.optimize.fused_surface import surface_name
from engine.optimize.grids import known_surface, resampled, surface_of
from engine.optimize.hull_baseline import mean_vertex_colors
from engine.optimize.refined_cameras import refined_cameras
from engine.optimize.stage import Stage, StageContext, register
from engine.scene import Camera, Gaussians

OPAQUE = 0.5  # least alpha of a pixel whose depth counts
EXTENT = 0.02  # share of the splats that may lie beyond each face of their box
MARGIN = 0.05  # of the box's side, on each side
HULL_SLACK = 1.0  # cells by which the fused surface may lie outside the masks' hull


@register
class FuseStage(Stage):
    """Leaves a distance field and its box for the stage shape and, on request, writes its surface."""

    name = "fuse"

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("splats",) if recipe.fuse.resolution else ()

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("a distance field",) if recipe.fuse.resolution else ()

    @classmethod
    def needs_masks(cls, recipe: Any) -> bool:
        return bool(recipe.fuse.resolution) and "shape" in recipe.stages

    def begin(self, context: StageContext) -> None:
        self.context = context
        if context.recipe.fuse.resolution and context.scene.gaussians is None:
            raise GeometryError("stage fuse needs splats: run the stage splats before it")

    def finish(self) -> None:
        context, scene, options = self.context, self.context.scene, self.context.recipe.fuse
        if not options.resolution:
            return
        capture = context.capture
        self.refined = refined_cameras(capture, scene.tensors)  # with which the splats were trained
        everywhere = self.refined or [frame.camera for frame in capture.frames]
        self.cameras = [everywhere[index] for index in capture.train]
        self.free = capture.has_masks and context.recipe.splats.masks == "object"
        hull = None
        if self.free:
            masks = [capture.pixels(index).mask for index in capture.train]
            box = object_box(self.cameras, masks)
            hull = carve(self.cameras, masks, box, context.recipe.hull.resolution)
        else:
            box = splat_box(scene.gaussians, context.recipe.capture.region)
        field = fused_distance(self._maps(scene.gaussians), box, options.resolution, options.truncation)
        if hull is not None:
            cell = float((box[1] - box[0]).max()) / options.resolution
            field = np.maximum(field, resampled(hull, options.resolution) - np.float32(HULL_SLACK * cell))
        if not ((field < 0).any() and (field > 0).any()):
            raise GeometryError(
                "the splats' depth shows no surface; train longer (splats.steps), with kind surface (splats.kind)"
            )
        scene.box, scene.field = box, field
        if options.mesh:
            self._write()

    def _maps(self, splats: Gaussians) -> Iterator[tuple[Camera, np.ndarray, float]]:
        context, options = self.context, self.context.recipe.fuse
        renderer = splat_renderer(splats, context.recipe.splats, context.capture)
        farthest = max(float(camera.project(splats.means)[1].max()) for camera in self.cameras)
        for done, camera in enumerate(self.cameras):
            context.progress(self.name, 0.8 * done / len(self.cameras), "fusing depth")
            image = renderer.image(camera, depth=True)
            alpha = image.alpha.numpy()
            if options.depth == "median":
                depth = image.median_depth.numpy()
            else:
                depth = image.depth.numpy() / np.maximum(alpha, 1e-6)
            # around an object nothing is there; around a scene nothing is known
            beyond = 2 * farthest if self.free else np.inf
            yield camera, np.where((alpha > OPAQUE) & (depth > 0), depth, beyond), 1.0

    def _write(self) -> None:
        context, scene = self.context, self.context.scene
        context.progress(self.name, 0.85, "extracting the surface")
        mesh = surface_of(scene.field, scene.box)
        if not self.free:
            limit = context.recipe.fuse.truncation / context.recipe.fuse.resolution
            mesh = known_surface(mesh, scene.field, scene.box, limit)
        colors = mean_vertex_colors(mesh, context.capture, context.rasterizer, cameras=self.refined)
        context.exports.mkdir(parents=True, exist_ok=True)
        path = context.exports / surface_name(context.recipe)
        write_ply(path, mesh, colors, context.capture.up)
        context.progress(self.name, 1.0, f"wrote {path.name}, {len(mesh.triangles):,} faces")


def splat_box(splats: Gaussians, region: tuple[float, ...] = ()) -> np.ndarray:
    """The cube [2,3] around `region`, or else around where nearly all opaque splats lie, with a margin."""
    if region:
        low, high = np.array(region[:3], np.float64), np.array(region[3:], np.float64)
    else:
        opaque = splats.means[splats.logits > 0]
        points = opaque if len(opaque) else splats.means
        low, high = np.quantile(points.astype(np.float64), [EXTENT, 1 - EXTENT], axis=0)
    side = max(float((high - low).max()), 1e-9) * (1 if region else 1 + 2 * MARGIN)
    return np.stack([(low + high - side) / 2, (low + high + side) / 2])
