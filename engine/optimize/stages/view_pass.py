"""From a mesh in the world to what each photo of a batch sees of it, shared by the stages that shade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.optimize.extra_losses import ExtraLosses
from engine.optimize.photo_loss import PhotoWeights, photo_loss
from engine.optimize.recipe import Recipe
from engine.optimize.stages.view_kernels import unproject
from engine.optimize.views import View
from engine.raster.contract import EdgeTable, Rasterizer, VisibilityBuffer
from engine.scene import Camera, Environment
from engine.scene.conventions import rotation_between
from engine.scene.environment import LightFrame
from engine.shading.environment import EnvironmentLight

PSNR_INTERVAL = 5  # steps between two measurements of what is only shown to the user


@dataclass(frozen=True)
class ViewPass:
    """One photo's visibility of the current mesh and the points it sees."""

    view: View
    clip: Tensor  # [V,4]
    buffer: VisibilityBuffer
    position: Tensor  # [P,3] world; differentiable: slides along the pixel's ray as the surface moves
    toward_camera: Tensor  # [P,3] unit, world, no gradient
    environment_from_world: Tensor  # [3,3]

    @property
    def count(self) -> int:
        """Number of covered pixels."""
        return len(self.buffer.pixel)


def clip_positions(vertices: Tensor, camera: Camera, box: np.ndarray) -> Tensor:
    """[V,4] clip positions of `vertices` [V,3] seen by `camera`, with near and far around `box` [2,3]."""
    matrix = torch.as_tensor(camera.clip_from_world(*camera.depth_range(box)), dtype=vertices.dtype)
    matrix = matrix.to(vertices.device)
    return vertices @ matrix[:, :3].T + matrix[:, 3]


@torch.no_grad()
def surface_points(camera: Camera, buffer: VisibilityBuffer) -> tuple[Tensor, Tensor]:
    """(positions [P,3], unit directions toward the camera [P,3]) of the covered pixels, in the world."""
    if buffer.depth.device.type != "cpu" or buffer.depth.dtype != torch.float32:
        return surface_points_reference(camera, buffer)
    numbers = (np.asarray(n, np.float32) for n in (camera.focal, camera.centre, camera.world_from_camera))
    position, toward = torch.empty(2, len(buffer.pixel), 3)
    pixel, depth = buffer.pixel.numpy(), buffer.depth.numpy()
    unproject(pixel, depth, camera.width, *numbers, position.numpy(), toward.numpy())
    return position, toward


def surface_points_reference(camera: Camera, buffer: VisibilityBuffer) -> tuple[Tensor, Tensor]:
    """`surface_points` in plain torch, for any device."""
    x = (buffer.pixel % camera.width + 0.5 - camera.centre[0]) / camera.focal[0]
    y = (buffer.pixel // camera.width + 0.5 - camera.centre[1]) / camera.focal[1]
    pose = torch.as_tensor(camera.world_from_camera, dtype=torch.float32).to(buffer.pixel.device)
    away = torch.stack([x, y, torch.ones_like(x)], 1).float() @ pose[:3, :3].T
    return away * buffer.depth[:, None] + pose[:3, 3], -torch.nn.functional.normalize(away, dim=1)


def light_orientation(up: np.ndarray, frame: LightFrame) -> np.ndarray:
    """[3,3] that turns the environment's +Y to the world's `up` [3], or to a camera's up (-y) where the light turns
    with the camera, whose forward then is the environment's -Z."""
    return np.diag([1.0, -1.0, -1.0]) if frame == "camera" else rotation_between(np.array([0.0, 1.0, 0.0]), up)


def starting_light(recipe: Recipe, up: np.ndarray, environment: Environment | None) -> EnvironmentLight:
    """The light of an earlier stage, or the recipe's grey one."""
    if environment is not None:
        return EnvironmentLight(
            radiance=environment.radiance,
            world_from_environment=environment.world_from_environment,
            frame=environment.frame,
        )
    options = recipe.light
    return EnvironmentLight(options.height, options.initial, light_orientation(up, options.frame), options.frame)


def light_priors(recipe: Recipe, light: EnvironmentLight) -> Tensor:
    """The weighted priors that anchor the light against base colour."""
    options = recipe.light
    terms = options.neutral * light.neutral() + options.smoothness * light.smoothness()
    return terms + options.scale * light.scale(options.initial)


def _moved_by(points: Tensor, motion: Tensor, camera: Camera) -> Tensor:
    """[N,3] how far points [N,3] that stay at their pixel and depth go with a motion [10] near zero of the camera."""
    pose = torch.as_tensor(camera.world_from_camera, dtype=points.dtype).to(points.device)
    motion, away = motion.to(points), points - pose[:3, 3]
    local = away @ pose[:3, :3]
    focal = torch.tensor(camera.focal, dtype=points.dtype, device=points.device)
    # x = f X/Z + c stays where X changes by -(X df + Z dc) / f
    across = -(local[:, :2] * motion[6:8] + local[:, 2:] * motion[8:10]) / focal
    return torch.linalg.cross(motion[None, :3].expand_as(points), away) + motion[3:6] + across @ pose[:3, :2].T


def see(
    rasterizer: Rasterizer,
    views: list[View],
    vertices: Tensor,
    triangles: Tensor,
    light: EnvironmentLight,
    motions: Sequence[Tensor | None] | None = None,
) -> list[ViewPass]:
    """What each of `views` sees of a mesh: `vertices` [V,3] (differentiable), `triangles` [F,3] int32.

    `motions` [10] of the cameras (CameraRefinement), at zero, get the gradient of a turn about their centre, of a way
    and of the intrinsics; the direction that is shaded for and a light that turns along have none.
    """
    low, high = vertices.detach().amin(0).cpu().numpy(), vertices.detach().amax(0).cpu().numpy()
    box = np.stack([low, high]).astype(np.float64)
    passes = []
    for view, motion in zip(views, motions or [None] * len(views), strict=True):
        # a camera that moves sees what one that stays sees of a surface that moves the other way
        seen = vertices if motion is None else vertices - _moved_by(vertices, motion, view.camera)
        clip = clip_positions(seen, view.camera, box)
        buffer = rasterizer.visibility(clip, triangles, view.camera.size)
        position = rasterizer.interpolate(seen, triangles, buffer)
        if motion is not None:
            position = position + _moved_by(position, motion, view.camera)
        _, toward = surface_points(view.camera, buffer)
        rotation = light.environment_from_world(view.camera.world_from_camera)
        passes.append(ViewPass(view, clip, buffer, position, toward, rotation))
    return passes


def antialiased(
    rasterizer: Rasterizer, seen: ViewPass, triangles: Tensor, edges: EdgeTable, color: Tensor | None
) -> Tensor:
    """[H,W,4] premultiplied colour and alpha of one view, or [H,W,1] alpha alone where `color` [P,3] is None."""
    ones = torch.ones(seen.count, 1, device=seen.clip.device)
    values = ones if color is None else torch.cat([color, ones], 1)
    image = rasterizer.compose(values, seen.buffer, torch.zeros(values.shape[1], device=values.device))
    return rasterizer.coverage(image, seen.clip, triangles, seen.buffer, edges)


def compared(
    rasterizer: Rasterizer,
    passes: list[ViewPass],
    triangles: Tensor,
    edges: EdgeTable,
    colors: list[Tensor | None],
    weights: PhotoWeights,
    extra: ExtraLosses | None = None,
) -> tuple[list[Tensor], Tensor, dict[str, float]]:
    """(the images as `antialiased` makes them, the mean photo loss of the views, its weighted terms with `extra`)."""
    images, losses, terms = [], [], {}
    for seen, color in zip(passes, colors, strict=True):
        image = antialiased(rasterizer, seen, triangles, edges, color)
        images.append(image if image.requires_grad else image.requires_grad_())  # stochastic gradients ask its slope
        value, parts = photo_loss(images[-1], seen.view, weights)
        losses.append(value)
        for name, part in parts.items():
            terms[name] = terms.get(name, 0.0) + part / len(passes)
    loss = torch.stack(losses).mean()
    if extra is not None and extra.names:
        added, parts = extra.of(images, [seen.view for seen in passes])
        loss, terms = loss + added, terms | parts
    return images, loss, terms
