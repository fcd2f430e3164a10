"""The stochastic loop on the processor, for shadings that are Python functions: numba's rasterizer, no adapter needed.

The same signs, losses, estimates and moves as `loop.StochasticLoop`, of vertices and base colour; normal maps have no
effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import CaptureError, RecipeError
from engine.geometry.large_steps import LargeSteps
from engine.geometry.normals import vertex_normals
from engine.kernels.signs import sign_key
from engine.optimize.stochastic.memory import bounding_sphere, encoded, encoded_photo
from engine.optimize.stochastic.not_finite import BadChecks
from engine.optimize.stochastic.options import GROUPS, LoopOptions
from engine.optimize.stochastic.scene import LoopScene, LoopView
from engine.raster import rasterizer
from engine.raster.contract import VisibilityBuffer
from engine.raster.stochastic.loss import Evaluation, estimate
from engine.raster.stochastic.perturbation import perturbed, vertex_eps
from engine.raster.stochastic.pixel_credit import WAYS
from engine.raster.stochastic.recursive import RecursiveEstimate
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from engine.raster.texture import build_pyramid, texture_level
from engine.scene import Camera
from engine.shading.blackbox import PythonShading
from engine.shading.points import SurfacePoints

KNOWN = ("vertices", "base_color")


class HostLoop:
    """Optimizes vertices and base colour toward photos through a Python shading; repeats bit for bit."""

    def __init__(
        self,
        scene: LoopScene,
        views: Sequence[LoopView],
        options: LoopOptions,
        shading: PythonShading,
        *,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Raises RecipeError for groups that the processor's loop does not know, CaptureError without views."""
        unknown = [name for name in options.order if name not in KNOWN]
        if unknown:
            raise RecipeError(f"a shading in Python moves {' and '.join(KNOWN)}, not {unknown[0]!r}; write it in WGSL")
        if not views:
            raise CaptureError("the stochastic loop was given no photos; it needs at least one")
        if scene.texture is None or scene.uvs is None:
            raise RecipeError("a shading in Python needs a mesh with a texture; unwrap the mesh first")
        self.scene, self.views, self.options, self.shading, self.notify = scene, list(views), options, shading, notify
        self.index, self.dropped = 0, 0  # steps done; pixels that were not finite since the last look
        self._bad_checks = BadChecks(shading.name)
        self.counts = dict.fromkeys(dict.fromkeys(options.order), 0)
        self._raster = rasterizer("numba")
        self._triangles = torch.from_numpy(np.ascontiguousarray(scene.triangles, np.int32))
        self._uvs = torch.from_numpy(np.ascontiguousarray(scene.uvs, np.float32))
        self._uv_triangles = torch.from_numpy(np.ascontiguousarray(scene.uv_triangles, np.int32))
        self._stencils = Stencils.smooth(scene.triangles, len(scene.vertices))
        order = LargeSteps.elimination_order(scene.vertices, scene.triangles)
        self._system = LargeSteps(scene.triangles, len(scene.vertices), options.smoothness, order)
        ends = scene.vertices[scene.triangles]
        self._edge_length = float(np.linalg.norm(ends - np.roll(ends, 1, 1), axis=-1).mean())
        self._centre, self._radius = bounding_sphere(scene.vertices)
        self._photos = [torch.from_numpy(encoded_photo(view, options.tone)) for view in self.views]
        texels = scene.texture.shape[0] * scene.texture.shape[1]
        self._arrays: dict[str, np.ndarray] = {
            "positions": np.array(scene.vertices, np.float32),
            "texture": np.array(scene.texture, np.float32),
            "mean": np.zeros((len(scene.vertices), 3), np.float32),
            "square": np.zeros((len(scene.vertices), 3), np.float32),
            "texel_mean": np.zeros((texels, 3), np.float32),
            "texel_square": np.zeros((texels, 3), np.float32),
            "texel_count": np.zeros((texels, 1), np.float32),
        }
        self._recursive = RecursiveEstimate(options.recursion)
        self._loss = float("nan")
        self._good = self.state()

    # -- pictures

    def _matrix(self, camera: Camera) -> np.ndarray:
        depth = float((self._centre - camera.position) @ camera.forward)
        far = max(depth + 2 * self._radius, 1e-6)
        return camera.clip_from_world(max(depth - 2 * self._radius, far * 1e-3), far)

    def _seen(self, camera: Camera, vertices: Tensor) -> tuple[VisibilityBuffer, Tensor, Tensor, Tensor]:
        """(visibility, clip positions, uv [P,2], mip level [P])."""
        matrix = torch.from_numpy(self._matrix(camera).astype(np.float32))
        clip = vertices @ matrix[:, :3].T + matrix[:, 3]
        buffer = self._raster.visibility(clip, self._triangles, camera.size, self.options.cull_backfaces)
        uv = self._raster.interpolate(self._uvs, self._uv_triangles, buffer)
        size = self.scene.texture.shape[:2]
        level = texture_level(clip, self._triangles, self._uvs, self._uv_triangles, buffer, camera.size, tuple(size))
        return buffer, clip, uv, level

    def _colors(self, camera: Camera, vertices: Tensor, seen: tuple, samples: np.ndarray) -> np.ndarray:
        """[P,3] linear radiance of the covered pixels, whose channels of the texture are `samples` [P,8]."""
        buffer, _, uv, _ = seen
        attributes = torch.cat([vertices, vertex_normals(vertices, self._triangles)], 1)
        values = self._raster.interpolate(attributes, self._triangles, buffer)
        position = values[:, :3]
        eye = torch.from_numpy(np.asarray(camera.position, np.float32))
        unit = torch.nn.functional.normalize
        pixel = buffer.pixel.numpy()
        points = SurfacePoints(
            unit(values[:, 3:], dim=1).numpy(),
            unit(eye - position, dim=1).numpy(),
            samples[:, :3],
            samples[:, 3],
            samples[:, 4],
            samples[:, 7],
            position.numpy(),
            uv.numpy(),
            np.stack([pixel % camera.width, pixel // camera.width], 1).astype(np.float32) + 0.5,
        )
        return self.shading.shade(points) if len(pixel) else np.zeros((0, 3), np.float32)

    def _samples(self, seen: tuple, pyramid: list[Tensor]) -> np.ndarray:
        """[P,8] the texture's channels at the covered pixels."""
        return self._raster.texture(pyramid, seen[2], seen[3]).numpy()

    def _losses(self, view: int, buffer: VisibilityBuffer, colors: np.ndarray) -> np.ndarray:
        """[H,W] float32; infinity where a colour is not finite, for `_paired` to leave out."""
        photo, options = self._photos[view].numpy(), self.options
        height, width = buffer.size
        wrong = ~np.isfinite(colors).all(1)
        colors = np.where(wrong[:, None], 0, colors)
        colors = encoded(colors, options.tone)
        error = np.concatenate(
            [np.zeros((height * width, 3), np.float32), np.zeros((height * width, 1), np.float32)], 1
        )
        pixel = buffer.pixel.numpy()
        error[pixel, :3], error[pixel, 3] = colors, 1
        error -= photo.reshape(-1, 4)
        color = np.abs(error[:, :3]) if options.loss == "l1" else error[:, :3] ** 2
        losses = (color.mean(1) + options.mask * error[:, 3] ** 2).astype(np.float32)
        losses[pixel[wrong]] = np.inf
        return losses.reshape(height, width)

    def _paired(self, values: Tensor, eps: Any, key: int, evaluate: Evaluation) -> Evaluation:
        """`evaluate` for `estimate`: losses are 0 on both sides where one is not finite; such pixels are counted."""
        (plus, seen_plus), (minus, seen_minus) = (evaluate(moved) for moved in perturbed(values, eps, key))
        wrong = ~(np.isfinite(plus) & np.isfinite(minus))
        self.dropped += int(wrong.sum())
        zeros = np.float32(0)
        sides = iter([(np.where(wrong, zeros, plus), seen_plus), (np.where(wrong, zeros, minus), seen_minus)])
        return lambda moved: next(sides)  # it is asked for plus, then minus

    def preview(self, camera: Camera, size: tuple[int, int] | None = None) -> np.ndarray:
        """[H,W,4] float32 linear radiance and coverage, as `StochasticLoop.preview`."""
        camera = camera if size is None else camera.resized(size[1], size[0])
        with torch.no_grad():
            vertices = torch.from_numpy(self._arrays["positions"])
            seen = self._seen(camera, vertices)
            pyramid = build_pyramid(torch.from_numpy(self._arrays["texture"]))
            colors = self._colors(camera, vertices, seen, self._samples(seen, pyramid))
        image = np.zeros((camera.height * camera.width, 4), np.float32)
        image[seen[0].pixel.numpy()] = np.concatenate([colors, np.ones((len(colors), 1), np.float32)], 1)
        return image.reshape(*camera.size, 4)

    # -- steps

    def advance(self, group: str, view: int) -> None:
        """One step of a group of `options.order` against one view. Raises what the shading raises, and DeviceError when
        it goes on returning values that are not finite, as `StochasticLoop.step`."""
        options = self.options
        settings = options.groups[group]
        self.counts[group] += 1
        eps, rate = settings.at(self.index / options.steps)
        key = sign_key(options.seed, self.index, GROUPS[group])
        with torch.no_grad():
            if group == "vertices":
                self._move_vertices(view, eps, rate, key, settings.beta1, settings.beta2)
            else:
                self._move_texels(view, eps, rate, settings.beta1, settings.beta2)
        self.index += 1
        if self.index % options.check_every == 0:
            self._check()

    def _check(self) -> None:
        """Keep the state where all colours were finite, step back to the last good one where not."""
        found, self.dropped = self.dropped, 0
        if not found:
            self._bad_checks.well()
            self._good = self.state()
            return
        text = self._bad_checks.text(found, self.index, int(self._good["index"]))
        index, counts = self.index, dict(self.counts)
        self._restore(self._good)
        self._bad_checks.end(text)
        self.index, self.counts = index, counts  # the same signs would lead to the same place
        self.notify(f"{text}; such pixels are left out")

    def _move_vertices(self, view: int, eps: float, rate: float, key: int, beta1: float, beta2: float) -> None:
        arrays, camera = self._arrays, self.views[view].camera
        pyramid = build_pyramid(torch.from_numpy(arrays["texture"]))
        losses_found: list[float] = []

        def evaluate(moved: Tensor) -> tuple[np.ndarray, np.ndarray]:
            seen = self._seen(camera, moved)
            colors = self._colors(camera, moved, seen, self._samples(seen, pyramid))
            losses = self._losses(view, seen[0], colors)
            return losses, seen[0].triangle_id.numpy()

        def gradient_at(vertices: Tensor) -> Tensor:
            reach = vertex_eps(vertices, self._matrix(camera), camera.size, eps)
            both = self._paired(vertices, reach, key, evaluate)
            loss, slopes = estimate(
                vertices, reach, key, both, lambda a, b: VertexCredit(a, b, self._stencils), camera.size
            )
            losses_found.append(float(loss))
            return slopes

        slopes = self._recursive.update(torch.from_numpy(arrays["positions"]), gradient_at)
        self._loss = losses_found[0] / (camera.width * camera.height)
        smooth = self._system.solve(self._system.solve(slopes.numpy()))
        arrays["mean"] = beta1 * arrays["mean"] + (1 - beta1) * smooth
        arrays["square"] = beta2 * arrays["square"] + (1 - beta2) * smooth**2
        count = self.counts["vertices"]
        divisor = np.sqrt(arrays["square"].max() / (1 - beta2**count))
        if divisor > 0:
            amount = np.float32(rate * self._edge_length / (1 - beta1**count) / divisor)
            arrays["positions"] = arrays["positions"] - amount * arrays["mean"]

    def _move_texels(self, view: int, eps: float, rate: float, beta1: float, beta2: float) -> None:
        arrays, camera = self._arrays, self.views[view].camera
        vertices = torch.from_numpy(arrays["positions"])
        seen = self._seen(camera, vertices)
        samples = self._samples(seen, build_pyramid(torch.from_numpy(arrays["texture"])))
        losses = []
        for way in WAYS:
            moved = samples.copy()
            moved[:, :3] = np.clip(samples[:, :3] + np.float32(eps) * way, 0, 1)  # as loop_material.wgsl
            losses.append(self._losses(view, seen[0], self._colors(camera, vertices, seen, moved)).reshape(-1))
        known = np.isfinite(losses).all(0)
        self.dropped += int((~known).sum())
        losses = np.where(known, losses, 0)
        self._loss = float(losses.mean(dtype=np.float64))
        slopes = torch.from_numpy((losses.T @ WAYS)[seen[0].pixel.numpy()] / np.float32(4 * eps))
        with torch.enable_grad():  # how pixels follow from texels is known
            colors = torch.from_numpy(arrays["texture"][..., :3].copy()).requires_grad_()
            self._raster.texture(build_pyramid(colors), seen[2], seen[3]).backward(slopes)
        gradient = colors.grad.reshape(-1, 3).numpy()
        touched = np.flatnonzero(gradient.any(1))
        gradient = gradient[touched]
        arrays["texel_count"][touched] += 1
        count = arrays["texel_count"][touched]
        for name, value, beta in (("texel_mean", gradient, beta1), ("texel_square", gradient**2, beta2)):
            arrays[name][touched] = beta * arrays[name][touched] + (1 - beta) * value
        first = arrays["texel_mean"][touched] / (1 - beta1**count)
        second = arrays["texel_square"][touched] / (1 - beta2**count)
        colors = arrays["texture"].reshape(-1, arrays["texture"].shape[2])
        colors[touched, :3] = np.clip(colors[touched, :3] - rate * first / (np.sqrt(second) + 1e-20), 0, 1)

    # -- results and state

    def loss(self) -> float:
        """The mean loss of the last step's view over both sides."""
        return self._loss

    def vertices(self) -> np.ndarray:
        """[V,3] float32."""
        return self._arrays["positions"].copy()

    def texture(self) -> np.ndarray:
        """[H,W,8] float32."""
        return self._arrays["texture"].copy()

    def radiance(self) -> None:
        """A Python shading has no light of the engine's."""

    def state(self) -> dict[str, np.ndarray]:
        """Arrays from which `restore` goes on with the same bits."""
        counts = np.array([*self.counts.values(), self.dropped], np.int64)
        state: dict[str, Any] = {name: array.copy() for name, array in self._arrays.items()}
        if self.options.recursion < 1 and self._recursive.point is not None:
            state["recursive.point"] = self._recursive.point.numpy().copy()
            state["recursive.value"] = self._recursive.value.numpy().copy()
        return state | {"index": np.array(self.index, np.int64), "counts": counts}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self._restore(state)
        self._good = {name: np.array(value) for name, value in state.items()}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        counts = [int(value) for value in state["counts"]]
        self.index, self.counts = int(state["index"]), dict(zip(self.counts, counts, strict=False))
        self.dropped = counts[len(self.counts)]
        self._arrays = {name: np.array(state[name]) for name in self._arrays}
        self._recursive = RecursiveEstimate(self.options.recursion)
        if "recursive.point" in state:
            self._recursive.point = torch.from_numpy(np.array(state["recursive.point"]))
            self._recursive.value = torch.from_numpy(np.array(state["recursive.value"]))
