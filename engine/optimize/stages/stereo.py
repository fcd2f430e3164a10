"""Depth from matched photographs, taken where it explains them better than the shape found so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.errors import GeometryError
from engine.geometry.fusion import fused_distance
from engine.geometry.stereo import luminance, stereo_depths
from engine.optimize.camera_refinement import tell_unmoved
from engine.optimize.grids import resampled, surface_of
from engine.optimize.hull_baseline import UnlitRenderer, depth_renderer, mean_vertex_colors
from engine.optimize.stage import Stage, StageContext, register
from engine.scene import Camera, Mesh
from engine.scene.conventions import linear_to_srgb

DEEPEST = 0.5  # of the box: how far behind the hull's surface is looked for
SLACK = 2.0  # cells by which the surface may lie before the hull's
GUESS_WEIGHT = 0.1  # of a depth that the shape so far claims where stereo is silent
JUDGES = 16  # photos at most that decide between the two shapes


@register
class StereoStage(Stage):
    """Fuses stereo depths of the training photos into the distance field, and keeps what the photos prefer."""

    name = "stereo"

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("a visual hull",) if recipe.stereo.image_size else ()

    def begin(self, context: StageContext) -> None:
        self.context = context
        if context.recipe.stereo.image_size and (not self._has_hull(context)):
            raise GeometryError("stage stereo starts from a distance field: run the stage hull before it")
        if context.recipe.stereo.image_size:
            tell_unmoved(context, self.name)

    def _has_hull(self, context: StageContext) -> bool:
        scene = context.scene
        return scene.hull is not None and scene.field is not None and "hull_field" in scene.tensors

    def finish(self) -> None:
        context, scene, options = self.context, self.context.scene, self.context.recipe.stereo
        if not options.image_size:
            return
        before = surface_of(resampled(scene.field, options.resolution), scene.box)  # finer colours would be unfair
        depths = self._depths(before)
        fused = fused_distance(self._maps(depths), scene.box, options.resolution)
        fused = np.maximum(fused, resampled(scene.tensors["hull_field"].numpy(), options.resolution))
        if not (fused < 0).any():
            context.notice("stereo found no surface; the shape found before it stands")
            return
        after = surface_of(fused, scene.box)
        context.progress(self.name, 0.9, "asking the photos which shape they prefer")
        old = self._psnr(before)
        context.progress(self.name, 0.95, "asking the photos which shape they prefer")
        new = self._psnr(after)
        better = new > old + options.margin
        if better:
            scene.field = fused
        verdict = "taken" if better else "left out"
        context.notice(
            f"the stereo shape is {verdict}: photos agree with it to {new:.1f} dB, with the one before to {old:.1f} dB",
            before=old,
            after=new,
        )

    def _depths(self, before: Mesh) -> list[np.ndarray]:
        context, scene, options = self.context, self.context.scene, self.context.recipe.stereo
        renderer = depth_renderer(before, context.rasterizer)
        hull_renderer = depth_renderer(scene.hull, context.rasterizer)
        side = float((scene.box[1] - scene.box[0]).max())
        slack = SLACK * side / options.resolution
        self.cameras, self.guesses, photos, masks, ranges = [], [], [], [], []
        for done, frame in enumerate(context.views.train):
            context.progress(self.name, 0.1 * done / len(context.views.train), "reading photos")
            view = context.views.view(frame, options.image_size)
            self.cameras.append(view.camera)
            self.guesses.append(renderer.depth(view.camera))
            alpha = view.alpha.numpy()
            straight = view.premultiplied.numpy() / np.maximum(alpha, 1e-6)[..., None]
            photos.append(luminance(linear_to_srgb(straight)))
            hull = hull_renderer.depth(view.camera)
            mask = (alpha > 0.5) & np.isfinite(hull) & (hull > slack)
            nearest = np.where(mask, hull - slack, 1).astype(np.float32)
            nearest = np.maximum(nearest, np.float32(1e-3 * side))
            masks.append(mask)
            ranges.append((nearest, nearest + np.float32(DEEPEST * side)))
        starts = [[guess] for guess in self.guesses]
        return stereo_depths(
            self.cameras,
            photos,
            masks,
            ranges,
            starts,
            np.asarray(scene.box, np.float64).mean(0),
            seed=context.recipe.run.seed,
            progress=lambda done, total: context.progress(self.name, 0.1 + 0.7 * done / total, "matching photos"),
        )

    def _maps(self, depths: list[np.ndarray]) -> Iterator[tuple[Camera, np.ndarray, float]]:
        for done, (camera, depth, guess) in enumerate(zip(self.cameras, depths, self.guesses, strict=True)):
            self.context.progress(self.name, 0.8 + 0.1 * done / len(depths), "fusing depth")
            known = depth > 0
            yield camera, np.where(known, depth, np.inf), 1.0
            yield camera, np.where(known, np.inf, guess), GUESS_WEIGHT

    def _psnr(self, mesh: Mesh) -> float:
        """Mean over some photos, inside their masks, of a mesh with its mean colours in the other photos, in dB."""
        context = self.context
        frames = context.views.train
        judges = frames[:: max(2, -(-len(frames) // JUDGES))]
        others = [frame for frame in frames if frame not in judges] or judges
        colors = mean_vertex_colors(mesh, context.capture, context.rasterizer, others)
        renderer = UnlitRenderer(mesh, colors, context.rasterizer)
        values = []
        for frame in judges:
            view = context.views.view(frame, context.recipe.stereo.image_size)
            inside = view.alpha.numpy() > 0.5
            if not inside.any():  # the object is not in this photo
                continue
            image, _ = renderer.render(view.camera)
            error = linear_to_srgb(image[inside]) - linear_to_srgb(view.premultiplied.numpy()[inside])
            values.append(-10 * np.log10(max(float((error**2).mean()), 1e-10)))
        return float(np.mean(values)) if values else 0.0
