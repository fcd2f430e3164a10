"""Between hull and shape: a radiance volume digs the concavities that the masks do not show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.capture.hull import touches_border
from engine.errors import GeometryError
from engine.geometry.fusion import fused_distance
from engine.geometry.photo_consistency import hull_where_consistent
from engine.geometry.radiance_volume import RadianceVolume
from engine.optimize.camera_refinement import tell_unmoved
from engine.optimize.grids import resampled, surface_of
from engine.optimize.hull_baseline import depth_renderer
from engine.optimize.snapshot import VolumeSnapshot
from engine.optimize.stage import IteratingStage, StageContext, register
from engine.scene import Camera
from engine.scene.conventions import linear_to_srgb

DILATION = 4  # pixels around the mask from which rays are drawn too
# (share of the steps after which a level begins, its share of the resolution): coarse cells dig fast, fine ones sharpen
LEVELS = ((0.0, 1 / 3), (0.5, 2 / 3), (0.8, 1.0))


@register
class VolumeStage(IteratingStage):
    """Fits density and colour to random rays, coarse grid first, then fuses median depths into the distance field."""

    name = "volume"
    moved = ("volume",)

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("a distance field",)

    def begin(self, context: StageContext) -> None:
        self.context, scene, options = context, context.scene, context.recipe.volume
        if scene.field is None or scene.box is None:
            raise GeometryError("stage volume starts from a distance field: run the stage hull before it")
        if options.steps:
            tell_unmoved(context, self.name)
        self.box = np.asarray(scene.box, np.float64)
        self._gather_rays(options.image_size)
        self._use(0, RadianceVolume(self._hull(0), self.box))

    def _hull(self, level: int) -> np.ndarray:
        cells = max(8, round(LEVELS[level][1] * self.context.recipe.volume.resolution))
        return resampled(self.context.scene.field, cells)

    def _use(self, level: int, volume: RadianceVolume) -> None:
        self.level, self.volume = level, volume
        rate = self.context.recipe.volume.learning_rate
        self.optimizers = [torch.optim.Adam([volume.values], lr=rate, betas=(0.9, 0.99), fused=True)]

    def _gather_rays(self, image_size: int) -> None:
        """Pixels in and around the masks: view number, pixel, encoded premultiplied colour and alpha."""
        import cv2

        self.frames = list(self.context.views.train)
        self.cameras, view, pixel, color = [], [], [], []
        for frame in self.frames:
            photo = self.context.views.view(frame, image_size)
            alpha = photo.alpha.numpy()
            kernel = np.ones((2 * DILATION + 1,) * 2, np.uint8)
            near = np.flatnonzero(cv2.dilate((alpha > 0).astype(np.uint8), kernel))
            straight = photo.premultiplied.numpy() / np.maximum(alpha, 1e-6)[..., None]
            encoded = linear_to_srgb(straight) * alpha[..., None]
            view.append(np.full(len(near), len(self.cameras), np.int32))
            pixel.append(near.astype(np.int32))
            color.append(np.concatenate([encoded, alpha[..., None]], -1).reshape(-1, 4)[near].astype(np.float32))
            self.cameras.append(photo.camera)
        self.view, self.pixel, self.color = np.concatenate(view), np.concatenate(pixel), np.concatenate(color)
        intrinsics = [(*c.focal, *c.centre, c.width) for c in self.cameras]
        self.intrinsics = np.array(intrinsics)
        self.poses = np.stack([c.world_from_camera for c in self.cameras])

    def _rays(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        view, pixel = self.view[chosen], self.pixel[chosen]
        fx, fy, cx, cy, width = self.intrinsics[view].T
        row, column = np.divmod(pixel, width)
        local = np.stack([(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, np.ones(len(view))], -1)
        directions = np.einsum("nij,nj->ni", self.poses[view, :3, :3], local)
        return self.poses[view, :3, 3], directions / np.linalg.norm(directions, axis=1, keepdims=True)

    @property
    def steps(self) -> int:
        return self.context.recipe.volume.steps

    def step(self, index: int) -> dict[str, float]:
        options, random = self.context.recipe.volume, self.context.random
        self.clock.start()
        if self.level + 1 < len(LEVELS) and index >= LEVELS[self.level + 1][0] * self.steps:
            self._use(self.level + 1, self.volume.refined(self._hull(self.level + 1)))
        rate = options.learning_rate * 0.3 ** (index / max(self.steps, 1)) * self.learning_rate_scale
        self.optimizers[0].param_groups[0]["lr"] = rate
        chosen = random.integers(0, len(self.pixel), options.rays)
        rays, jitter = self._rays(chosen), random.random(len(chosen), dtype=np.float32)
        self.clock.lap("rays")
        image = self.volume.render(*rays, jitter)
        self.clock.lap("marching")
        target = torch.from_numpy(self.color[chosen])
        color = ((image[:, :3] - target[:, :3]) ** 2).mean()
        mask = options.mask * ((1 - image[:, 3] - target[:, 3]) ** 2).mean()
        loss = color + mask
        self.clock.lap("loss")
        self.optimizers[0].zero_grad(set_to_none=True)
        loss.backward()
        self.clock.lap("backward")
        scale = options.smoothness / len(self.volume.values)
        self.volume.add_smoothness(scale, scale)
        self.clock.lap("priors")
        self.optimizers[0].step()
        self.clock.lap("optimizer")
        psnr = float(-10 * torch.log10(color.detach().clamp_min(1e-10)))
        terms = {"color": color, "mask": mask, "loss": loss}
        return {key: float(value.detach()) for key, value in terms.items()} | {"psnr": psnr}

    def preview(self) -> dict[str, Any]:
        slot = self.volume.slot
        if self.context.kept.get("slot", (None, None))[0] is not slot:
            self.context.kept["slot"] = (slot, slot.copy())
        values = self.volume.values.detach().numpy().copy()
        return {"volume": VolumeSnapshot(self.box.copy(), self.context.kept["slot"][1], values), "box": self.box.copy()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"values": self.volume.values}, {"level": self.level}

    def restore(self, context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        if not self.optimizers:
            self.begin(context)
        if self.level != values["level"]:
            self._use(values["level"], RadianceVolume(self._hull(values["level"]), self.box))
        with torch.no_grad():
            self.volume.values.copy_(tensors["values"])

    def finish(self) -> None:
        context, options = self.context, self.context.recipe.volume
        if not self.steps:
            return
        fused = fused_distance(self._depths(), self.box, options.resolution)
        hull = resampled(context.scene.field, options.resolution)
        carved = np.maximum(fused, hull)
        if options.keep_hull and not self._hull_is_loose() and (carved < 0).any():
            context.progress(self.name, 1.0, "comparing with the hull")
            carved = self._with_consistent_hull(hull, carved)
        context.scene.field = carved
        if not (context.scene.field < 0).any():
            raise GeometryError("the volume found no surface; use more steps (volume.steps) or leave the stage out")

    def _depths(self) -> Iterator[tuple[Camera, np.ndarray, float]]:
        for done, camera in enumerate(self.cameras):
            self.context.progress(self.name, done / len(self.cameras), "fusing depth")
            yield camera, self.volume.depth(camera), 1.0

    def _hull_is_loose(self) -> bool:
        """Whether most photos cut the object at their border, so that few silhouettes bound it."""
        size = self.context.recipe.volume.image_size
        cut = [touches_border(self.context.views.view(frame, size).alpha.numpy()) for frame in self.frames]
        return sum(cut) > len(cut) / 2

    def _with_consistent_hull(self, hull: np.ndarray, carved: np.ndarray) -> np.ndarray:
        """The carved field where photos ask for it, the hull's elsewhere."""
        photos = []
        for frame, camera in zip(self.frames, self.cameras, strict=True):
            photo = self.context.views.view(frame, max(camera.size))
            straight = photo.premultiplied / photo.alpha.clamp_min(1e-6)[..., None]
            photos.append(linear_to_srgb(straight.numpy()))
        meshes = [surface_of(field, self.box) for field in (hull, carved)]
        renderers = [depth_renderer(mesh, self.context.rasterizer) for mesh in meshes]
        depths = [[renderer.depth(camera) for camera in self.cameras] for renderer in renderers]
        return hull_where_consistent(hull, carved, self.box, meshes[0], depths[1], depths[0], self.cameras, photos)
