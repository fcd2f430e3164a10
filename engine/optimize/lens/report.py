"""Do the engines agree? Whole gradients of each group of parameters along smooth directions, and their cosines.

Along one vertex or texel an estimate is mostly noise; along a smooth change of all of them it is not, and an optimizer
that smooths its gradient takes just such steps. Of each group's gradient the derivatives along the same few waves are
compared, as vectors with one entry per wave. Near the optimum the vertices' derivatives are what is left of pixels that
cancel, and what antialiasing gives to which pixel then decides about them: engines may differ there and all be right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.geometry.normals import vertex_normals
from engine.kernels.signs import BASE_COLOR, ENVIRONMENT, ROUGHNESS_METALLIC, VERTICES, sign_key, signs
from engine.optimize.lens.analytic import analytic_gradients
from engine.optimize.lens.differences import VALUE_STEP, VERTEX_STEP, central, rendered, subpixels
from engine.optimize.lens.parameters import GROUP_CHANNELS
from engine.optimize.lens.scene import LensView, Window
from engine.optimize.lens.stochastic import (
    LIGHT_EPS,
    TEXEL_EPS,
    VERTEX_EPS,
    StillPoints,
    colour_change,
    held_materials,
    light_of,
    light_taps,
)
from engine.optimize.stages.stochastic_view import NORMAL_EPS, NORMALS
from engine.optimize.turns import kernel_turn
from engine.raster.stochastic.loss import estimate
from engine.raster.stochastic.perturbation import focal_lengths, vertex_eps
from engine.raster.stochastic.texel_credit import TexelCredit, TexturePoints
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from engine.raster.texture import build_pyramid
from engine.scene.environment import direction_of_texel
from engine.shading.prefilter import prefilter

GROUPS = ("vertices", "base_color", "roughness", "metallic", "light")
PAIRS = (("analytic", "stochastic"), ("analytic", "differences"), ("stochastic", "differences"))
WAVES = 1.5  # at most so many across the scene, the texture or the light
CHANNELS = {"base_color": slice(0, 3), "roughness": slice(3, 4), "metallic": slice(4, 5)}
MOST_MAGNIFIED = 3
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class GroupReport:
    """How one group's gradient changes along the waves, by each engine."""

    group: str
    slopes: dict[str, np.ndarray]  # by engine: [B] derivatives of the sum of pixel losses
    samples: int
    seconds: dict[str, float]

    def cosine(self, first: str, second: str) -> float:
        """Of two engines; NaN where one is zero."""
        a, b = self.slopes[first], self.slopes[second]
        length = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / length if length > 0 else float("nan")

    @property
    def cosines(self) -> dict[tuple[str, str], float]:
        """Of every pair of engines."""
        return {pair: self.cosine(*pair) for pair in PAIRS}


def groups_of(view: LensView) -> tuple[str, ...]:
    """The groups that a scene has; without textures vertices and light."""
    return GROUPS if view.scene.texture is not None else ("vertices", "light")


def smooth_directions(view: LensView, group: str, count: int, seed: int = 0) -> Iterator[Tensor]:
    """`count` waves over a group's parameters, of its shape and at most about 1 high."""
    scene, random = view.scene, np.random.default_rng([seed, GROUPS.index(group)])
    for number in range(count):
        wave, phase = random.normal(size=3), random.uniform(0, 2 * np.pi)
        wave *= WAVES * 2 * np.pi * random.uniform(0.2, 1) / np.linalg.norm(wave)
        mixed = random.normal(size=3)
        mixed /= np.linalg.norm(mixed)
        if group == "vertices":
            places = scene.vertices.numpy() / scene.mesh.diagonal
            height = torch.from_numpy(np.cos(places @ wave + phase).astype(np.float32))[:, None]
            yield height * (scene.normals if number % 2 else torch.from_numpy(mixed.astype(np.float32)))
        elif group == "light":
            places = direction_of_texel(*scene.log_radiance.shape[:2]) / 2
            yield torch.from_numpy((np.cos(places @ wave + phase)[..., None] * mixed).astype(np.float32))
        else:
            height, width = scene.texture.shape[:2]
            y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
            part, out = CHANNELS[group], torch.zeros_like(scene.texture)
            weights = mixed[: part.stop - part.start] if group == "base_color" else np.ones(1)
            values = np.cos(wave[0] * x + wave[1] * y + phase)[..., None] * weights
            out[..., part] = torch.from_numpy(values.astype(np.float32))
            yield out


def object_window(view: LensView, margin: int = 3) -> Window:
    """The part of the photo where the mesh is, widened."""
    (height, width), scene = view.camera.size, view.scene
    pixels, depth = view.camera.project(scene.vertices.numpy().astype(np.float64))
    pixels = pixels[depth > 0] if (depth > 0).any() else np.zeros((1, 2))
    low = np.clip(np.floor(pixels.min(0)) - margin, 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(pixels.max(0)) + margin, low + 1, [width, height]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def cosine_report(
    view: LensView,
    *,
    samples: int = 64,
    directions: int = 12,
    seed: int = 0,
    groups: tuple[str, ...] | None = None,  # None: all that the scene has
    progress: Progress = lambda _done, _text: None,  # raises to cancel
) -> list[GroupReport]:
    """The engines' agreement on every group of one view."""
    wanted = groups or groups_of(view)
    progress(0.0, "analytic")
    began = time.perf_counter()
    with kernel_turn():
        exact = analytic_gradients(view)
    backward = time.perf_counter() - began
    found = []
    for number, group in enumerate(wanted):
        title = group.replace("_", " ").replace("color", "colour")

        def part(done: float, first=number, title=title) -> None:
            progress((first + done) / len(wanted), title)

        waves = list(smooth_directions(view, group, directions, seed))
        leaf = group if group in ("vertices", "light") else "texture"
        seconds = {"analytic": backward}
        began = time.perf_counter()
        random = stochastic_gradient(view, group, samples, seed, lambda done, part=part: part(done / 2))
        seconds["stochastic"], began = time.perf_counter() - began, time.perf_counter()
        slopes = {
            "analytic": np.array([float((exact[leaf] * wave).sum()) for wave in waves]),
            "stochastic": np.array([float((random * wave).sum()) for wave in waves]),
            "differences": _differences(view, group, waves, lambda done, part=part: part(0.5 + done / 2)),
        }
        seconds["differences"] = time.perf_counter() - began
        found.append(GroupReport(group, slopes, samples, seconds))
    return found


def _differences(view: LensView, group: str, waves: list[Tensor], progress: Callable[[float], None]) -> np.ndarray:
    scene, window = view.scene, object_window(view)
    magnify = min(subpixels(window), MOST_MAGNIFIED)
    focal = float(np.sqrt(np.prod(focal_lengths(view.camera.clip_from_world(1.0, 2.0), view.camera.size))))
    depth = abs(float((scene.box.mean(0) - view.camera.position) @ view.camera.forward))
    out = []
    for number, wave in enumerate(waves):
        with kernel_turn():
            if group == "vertices":
                step = VERTEX_STEP * depth / focal
                slope = central(
                    lambda s, w=wave: rendered(view, window, magnify, vertices=scene.vertices + s * w), step
                )
            elif group == "light":
                slope = central(
                    lambda s, w=wave: rendered(view, window, magnify, log_radiance=scene.log_radiance + s * w),
                    VALUE_STEP,
                )
            else:
                slope = central(
                    lambda s, w=wave: rendered(view, window, magnify, texture=scene.texture + s * w), VALUE_STEP
                )
        out.append(float(slope.sum(dtype=torch.float64)))
        progress((number + 1) / len(waves))
    return np.array(out)


def stochastic_gradient(
    view: LensView, group: str, samples: int, seed: int = 0, progress: Callable[[float], None] = lambda _done: None
) -> Tensor:
    """The mean estimate of a group's gradient: [V,3] vertices, [S,S,8] a map of the texture, or [h,w,3] light."""
    window = object_window(view)
    drawn = {"vertices": _vertex_estimates, "light": _light_estimates}.get(group)
    made = drawn(view, window, samples, seed) if drawn else _texel_estimates(view, window, samples, seed, group)
    total: list[Tensor] = []
    for number in range(samples):
        with kernel_turn():
            parts = next(made)
        total = [a + b for a, b in zip(total, parts, strict=True)] if total else list(parts)
        progress((number + 1) / samples)
    means = [part / samples for part in total]
    scene = view.scene
    if group == "vertices":
        positions, bends = means
        vertices = scene.vertices.clone().requires_grad_()
        normals = vertex_normals(vertices, scene.triangles)
        (turned,) = torch.autograd.grad((normals * bends).sum(), vertices)
        return positions + turned
    if group == "light":
        log_radiance = scene.log_radiance.clone().requires_grad_()
        (found,) = torch.autograd.grad((prefilter(log_radiance.exp()).levels * means[0]).sum(), log_radiance)
        return found
    return means[0]


def _vertex_estimates(view: LensView, window: Window, samples: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(to positions under normals that stand still, to normals), each [V,3]."""
    scene, still = view.scene, StillPoints(view, window)
    stencils = Stencils.flat(scene.triangles.numpy(), len(scene.vertices))
    eps = vertex_eps(scene.vertices, view.camera.clip_from_world(1.0, 2.0), view.camera.size, VERTEX_EPS)
    near = 8 * float(eps.mean())
    for sample in range(samples):
        points = still.at(sample)
        look, size, ids = points.look, points.buffer.size, points.buffer.triangle_id.numpy()

        def moved(vertices: Tensor, points=points, look=look) -> tuple[Tensor, np.ndarray]:
            seen = view.seen(look, vertices)
            materials = seen.materials if view.moving_texture else held_materials(seen, points, near)
            color = view.shaded(seen, scene.normals, materials, scene.light)
            return look.contracted(color, seen.buffer.pixel), seen.buffer.triangle_id.numpy()

        def bent(normals: Tensor, points=points, look=look, ids=ids) -> tuple[Tensor, np.ndarray]:
            return look.contracted(
                view.shaded(points, normals, points.materials, scene.light), points.buffer.pixel
            ), ids

        def rule(a: np.ndarray, b: np.ndarray) -> VertexCredit:
            return VertexCredit(a, b, stencils)

        yield (
            estimate(scene.vertices, eps, sign_key(seed, sample, VERTICES), moved, rule, size)[1],
            estimate(scene.normals, NORMAL_EPS, sign_key(seed, sample, NORMALS), bent, rule, size)[1],
        )


def _texel_estimates(view: LensView, window: Window, samples: int, seed: int, group: str) -> Iterator[tuple[Tensor]]:
    scene, still = view.scene, StillPoints(view, window)
    number = BASE_COLOR if group == "base_color" else ROUGHNESS_METALLIC
    part, size = GROUP_CHANNELS[number], tuple(scene.texture.shape[:2])
    values = scene.texture[..., part].reshape(-1, part.stop - part.start).contiguous()
    for sample in range(samples):
        points = still.at(sample)
        buffer = points.buffer
        places = TexturePoints.of(buffer.pixel.numpy(), points.uv.numpy(), points.level.numpy(), buffer.size)

        def evaluate(moved: Tensor, points=points, places=places) -> tuple[Tensor, TexturePoints]:
            materials = points.materials.clone()
            pyramid = build_pyramid(moved.view(*size, -1))
            materials[:, part] = scene.raster.texture(pyramid, points.uv, points.level)
            color = view.shaded(points, scene.normals, materials, scene.light)
            return points.look.contracted(color, points.buffer.pixel), places

        def rule(a: TexturePoints, b: TexturePoints) -> TexelCredit:
            return TexelCredit(a, b, size)

        key = sign_key(seed, sample, number)
        found = torch.zeros_like(scene.texture)
        found[..., part] = estimate(values, TEXEL_EPS, key, evaluate, rule, buffer.size)[1].view(*size, -1)
        yield (found,)


def _light_estimates(view: LensView, window: Window, samples: int, seed: int) -> Iterator[tuple[Tensor]]:
    """To the texels of the light's blurs, [L,h,w,3]."""
    scene, still = view.scene, StillPoints(view, window)
    levels = scene.light.levels
    eps = LIGHT_EPS * levels
    for sample in range(samples):
        points = still.at(sample)
        texels, once = light_taps(view, points)
        drawn = torch.from_numpy(signs(sign_key(seed, sample, ENVIRONMENT), levels[..., 0].numel(), 3))
        drawn = drawn.view(levels.shape)
        sides = [
            view.shaded(points, scene.normals, points.materials, light_of(levels + sign * eps * drawn))
            for sign in (1, -1)
        ]
        change = colour_change(points, sides).reshape(-1)[points.buffer.pixel]
        sums = torch.zeros(levels[..., 0].numel()).index_add(
            0, texels.reshape(-1), (change[:, None] * once).reshape(-1)
        )
        yield (sums.view(*levels.shape[:3], 1) * drawn / (2 * eps),)
