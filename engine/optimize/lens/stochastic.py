"""The stochastic engine: random signs on all parameters of a group, two renders, and each pixel's credit to one.

As in the stages vertex positions are perturbed under normals that stand still, and normals on their own; what a
position does to the normals is known and needs no estimate. Likewise the light is perturbed where shading reads it, in
the texels of its blurs, whose slope to the light's own texels is known. Every sample looks through another place of its
pixels, so that the mean is of what antialiasing shows; photos of many views do the same in a run.

At the silhouettes of smooth meshes triangles are seen edge-on and thinner than any eps: there a vertex shares what it
moves with its neighbours, and its own sum comes out too small, while the sum over a neighbourhood is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine.kernels.signs import ENVIRONMENT, VERTICES, sign_key, signs
from engine.optimize.lens.analytic import normals_tangent
from engine.optimize.lens.differences import vertex_step
from engine.optimize.lens.parameters import (
    GROUP_CHANNELS,
    LightParameter,
    Parameter,
    TexelParameter,
    VertexParameter,
    touched_triangles,
)
from engine.optimize.lens.scene import LensView, Points, Window
from engine.optimize.stages.stochastic_view import NORMAL_EPS, NORMALS
from engine.optimize.turns import kernel_turn
from engine.raster.stochastic.perturbation import vertex_eps
from engine.raster.stochastic.texel_credit import TexelCredit, TexturePoints
from engine.raster.texture import build_pyramid
from engine.shading.equirectangular import pad, uv_from_direction
from engine.shading.prefilter import PrefilteredLight, prefilter
from engine.shading.split_sum import facing_normal, lobe_direction

VERTEX_EPS = 0.2  # pixels; half of the stages' own: many samples afford the noise, and triangles stay whole
TEXEL_EPS = 0.02
LIGHT_EPS = 0.05  # of a texel's radiance
PLACES = 64  # within a pixel, through which samples look in turn


@dataclass
class Mean:
    """A running mean of maps and the standard error of their sums."""

    total: Tensor
    sums: list[float]

    def add(self, sample: Tensor) -> None:
        """One more map."""
        self.total += sample
        self.sums.append(float(sample.sum()))

    @property
    def map(self) -> Tensor:
        """[h,w]."""
        return self.total / max(len(self.sums), 1)

    @property
    def error(self) -> float:
        """Of the mean's sum over pixels."""
        count = len(self.sums)
        return float(np.std(self.sums, ddof=1) / np.sqrt(count)) if count > 1 else float("inf")


def offset_of(sample: int) -> tuple[float, float]:
    """(x, y) from the pixel centres: evenly spread in the plane and along both axes.

    Source: Roberts 2018, the R2 sequence.
    """
    place = sample % PLACES + 1
    return (0.5 + 0.7548776662466927 * place) % 1 - 0.5, (0.5 + 0.5698402909980532 * place) % 1 - 0.5


def stochastic_map(
    view: LensView,
    parameter: Parameter,
    window: Window,
    samples: int,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _done: None,  # may raise to end the work
) -> Mean:
    """The mean over `samples` of [h,w] d_p s_i / (2 eps_i), as far as the pixels are credited to the parameter."""
    mean = Mean(torch.zeros(window[3] - window[1], window[2] - window[0]), [])
    if isinstance(parameter, VertexParameter):
        maps = _vertex_samples(view, parameter, window, samples, seed)
    elif isinstance(parameter, TexelParameter):
        maps = _texel_samples(view, parameter, window, samples, seed)
    else:
        maps = _light_samples(view, parameter, window, samples, seed)
    for number in range(samples):
        with kernel_turn():
            mean.add(next(maps))
        progress((number + 1) / samples)
    return mean


class StillPoints:
    """What a window sees of the unmoved mesh through each place within its pixels, found when first asked for."""

    def __init__(self, view: LensView, window: Window, triangles: Tensor | None = None) -> None:
        self._view, self._window, self._triangles = view, window, triangles
        self._kept: dict[tuple[float, float], Points] = {}

    def at(self, sample: int) -> Points:
        """Through the place of that sample."""
        offset = offset_of(sample)
        if offset not in self._kept:
            look = self._view.look(self._window, 1, offset)
            self._kept[offset] = self._view.seen(look, self._view.scene.vertices, self._triangles)
        return self._kept[offset]


def _vertex_samples(
    view: LensView, parameter: VertexParameter, window: Window, samples: int, seed: int
) -> Iterator[Tensor]:
    scene, direction = view.scene, parameter.vector(view.scene)
    step = vertex_step(view, parameter.index, VERTEX_EPS)
    triangles = triangles_in(view, window)
    eps = vertex_eps(scene.vertices, view.camera.clip_from_world(1.0, 2.0), view.camera.size, VERTEX_EPS)
    own = np.zeros(len(scene.triangles) + 1, bool)  # by id: triangles with a corner at the vertex
    own[np.flatnonzero((scene.triangles.numpy() == parameter.index).any(1)) + 1] = True
    own = torch.from_numpy(own)
    turning = normals_tangent(scene, parameter.tangent(scene))
    turned = torch.nonzero(turning.abs().sum(1))[:, 0]
    still = StillPoints(view, window, triangles)
    for sample in range(samples):
        if not step > 0:
            yield torch.zeros(window[3] - window[1], window[2] - window[0])
            continue
        drawn = torch.from_numpy(signs(sign_key(seed, sample, VERTICES), len(scene.vertices), 3))
        look = view.look(window, 1, offset_of(sample))
        sides = []
        for sign in (1, -1):
            points = view.seen(look, scene.vertices + sign * eps * drawn, triangles)
            materials = points.materials if view.moving_texture else held_materials(points, still.at(sample), 8 * step)
            color = view.shaded(points, scene.normals, materials, scene.light)
            sides.append((look.contracted(color, points.buffer.pixel), points.buffer.triangle_id.long()))
        (plus, seen_plus), (minus, seen_minus) = sides
        credited = own[seen_plus] | own[seen_minus]
        weight = float((drawn[parameter.index] * direction).sum()) / (2 * step)
        found = torch.where(credited, (plus - minus) * weight, 0.0)
        points = still.at(sample)
        drawn = torch.from_numpy(signs(sign_key(seed, sample, NORMALS), len(scene.vertices), 3))
        sides = [
            view.shaded(points, scene.normals + sign * NORMAL_EPS * drawn, points.materials, scene.light)
            for sign in (1, -1)
        ]
        share = torch.zeros(len(scene.vertices))
        share[turned] = (drawn[turned] * turning[turned]).sum(1) / (2 * NORMAL_EPS)
        share = share[scene.triangles.long()].sum(1)  # by triangle
        ids = points.buffer.triangle_id.long()
        yield found + colour_change(points, sides) * torch.cat([torch.zeros(1), share])[ids]


def held_materials(points: Points, still: Points, near: float) -> Tensor:
    """[P,8] the materials that the pixels had, and those looked up where another surface has come into view."""
    count = points.buffer.triangle_id.numel()
    place = torch.full((count,), -1, dtype=torch.int64)
    place[still.buffer.pixel] = torch.arange(len(still.buffer.pixel))
    before = place[points.buffer.pixel]
    known = (before >= 0) & ((still.buffer.depth[before] - points.buffer.depth).abs() < near)
    return torch.where(known[:, None], still.materials[before], points.materials)


def _texel_samples(
    view: LensView, parameter: TexelParameter, window: Window, samples: int, seed: int
) -> Iterator[Tensor]:
    scene, still = view.scene, StillPoints(view, window)
    size, part = tuple(scene.texture.shape[:2]), GROUP_CHANNELS[parameter.group]
    row, weights = parameter.y * size[1] + parameter.x, parameter.weights(scene)[part]
    masks: dict[int, Tensor] = {}
    for sample in range(samples):
        points = still.at(sample)
        if id(points) not in masks:
            arrays = points.buffer.pixel.numpy(), points.uv.numpy(), points.level.numpy(), points.buffer.size
            places = TexturePoints.of(*arrays)
            masks[id(points)] = torch.from_numpy(TexelCredit(places, places, size).pixels(row))
        credited = masks[id(points)]
        key, count = sign_key(seed, sample, parameter.group), part.stop - part.start
        drawn = torch.from_numpy(signs(key, size[0] * size[1], count)).view(*size, count)
        moved = torch.zeros_like(points.materials)  # a look-up is linear in the texture
        moved[:, part] = TEXEL_EPS * scene.raster.texture(build_pyramid(drawn), points.uv, points.level)
        sides = [view.shaded(points, scene.normals, points.materials + sign * moved, scene.light) for sign in (1, -1)]
        change = colour_change(points, sides)
        weight = float((drawn[parameter.y, parameter.x] * weights).sum()) / (2 * TEXEL_EPS)
        yield torch.where(credited, change * weight, 0.0)


def _light_samples(
    view: LensView, parameter: LightParameter, window: Window, samples: int, seed: int
) -> Iterator[Tensor]:
    scene, still = view.scene, StillPoints(view, window)
    levels = scene.light.levels
    brighter = prefilter(parameter.tangent(scene) * scene.log_radiance.exp()).levels  # of the blurs, per unit
    eps = LIGHT_EPS * levels
    taps: dict[int, tuple[Tensor, Tensor]] = {}
    for sample in range(samples):
        points = still.at(sample)
        if id(points) not in taps:
            taps[id(points)] = light_taps(view, points)
        drawn = torch.from_numpy(signs(sign_key(seed, sample, ENVIRONMENT), levels[..., 0].numel(), 3))
        drawn = drawn.view(levels.shape)
        sides = [
            view.shaded(points, scene.normals, points.materials, light_of(levels + sign * eps * drawn))
            for sign in (1, -1)
        ]
        share = (drawn * brighter / (2 * eps)).sum(-1).reshape(-1)  # of each texel of the blurs
        texels, once = taps[id(points)]
        weight = (share[texels] * once).sum(1)
        whole = torch.zeros(points.buffer.triangle_id.numel())
        whole[points.buffer.pixel] = weight
        yield colour_change(points, sides) * whole.view(points.buffer.size)


def light_of(levels: Tensor) -> PrefilteredLight:
    return PrefilteredLight(levels, pad(levels))


def light_taps(view: LensView, points: Points) -> tuple[Tensor, Tensor]:
    """([P,12] texels of the light's blurs that a pixel's shading reads, [P,12] 1 where a texel is named first)."""
    scene = view.scene
    height, width = scene.light.levels.shape[1:3]
    count = len(scene.light.levels) - 1
    normal = view.normal_of(points) @ points.rotation.T
    toward = points.toward @ points.rotation.T
    normal, cosine = facing_normal(normal, toward)
    roughness = points.materials[:, 3].clamp(0, 1)
    lobe = lobe_direction(normal, toward, cosine, points.materials[:, 3])
    low = (roughness * (count - 1)).long().clamp(max=count - 2)
    found = []
    for layer, direction in ((torch.full_like(low, count), normal), (low, lobe), (low + 1, lobe)):
        uv = uv_from_direction(direction)
        x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
        for dy in (0, 1):
            for dx in (0, 1):
                column, row = x.floor().long() + dx, y.floor().long() + dy
                beyond = (row < 0) | (row >= height)  # over a pole, half a turn on
                column = torch.where(beyond, column + width // 2, column) % width
                found.append((layer * height + row.clamp(0, height - 1)) * width + column)
    texels = torch.stack(found, 1)
    ordered = torch.sort(texels, dim=1).values
    first = torch.ones_like(ordered, dtype=torch.float32)
    first[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).float()
    return ordered, first


def colour_change(points: Points, sides: list[Tensor]) -> Tensor:
    """[h,w] slopes times the difference of two colours of the same points."""
    zero_alpha = replace(points.look, slope=points.look.slope * torch.tensor([1.0, 1.0, 1.0, 0.0]))
    return zero_alpha.contracted(sides[0] - sides[1], points.buffer.pixel)


def triangles_in(view: LensView, window: Window, margin: float = 4.0) -> Tensor | None:
    """Indices of the triangles that may show in a window; None where that is most of them."""
    scene = view.scene
    pixels, depth = view.camera.project(scene.vertices.numpy().astype(np.float64))
    corners, ahead = pixels[scene.triangles.numpy()], (depth > 0)[scene.triangles.numpy()]
    low, high = corners.min(1) - margin, corners.max(1) + margin
    x0, y0, x1, y1 = window
    meets = (low[:, 0] < x1) & (high[:, 0] > x0) & (low[:, 1] < y1) & (high[:, 1] > y0)
    found = np.flatnonzero(meets & ahead.any(1) | (ahead.any(1) & ~ahead.all(1)))
    return None if len(found) > len(corners) / 2 else torch.from_numpy(found)


def vertex_extent(view: LensView, vertex: int) -> np.ndarray | None:
    """[2,2] (low, high) pixels between which a vertex changes anything; None where it is not in front."""
    scene = view.scene
    corners = np.unique(scene.triangles.numpy()[touched_triangles(scene, vertex)])
    pixels, depth = view.camera.project(scene.vertices.numpy()[corners].astype(np.float64))
    if not (depth > 0).any():
        return None
    return np.stack([pixels[depth > 0].min(0), pixels[depth > 0].max(0)])
