"""The splat contract on any GPU, in WGSL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.errors import DeviceError
from engine.kernels.webgpu import Gpu, gpu, recovering
from engine.scene.camera import Camera
from engine.splats.channels import channels, facing_normals, put_together, rescaled
from engine.splats.contract import PLAIN, SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors
from engine.splats.webgpu_passes import GEOMETRY, SplatArrays, SplatPasses

T = TypeVar("T")
TOTAL, MEAN, SPREAD, MEDIAN = range(4)  # of the depths that SplatPasses.forward returns
ENDS = 0, 3, 7, 10, 11, 12, 14, 15, 20  # of a gradient's row: mean, quaternion, scales, logit, shape, centre, ...


class _Splat(torch.autograd.Function):
    """Projects, bins and blends; the gradient of `screen`, which enters as zeros, is that of the projected means.

    (image [H,W,3+C], transmittance, radii, seen means) and with `deep` median depth, and of discs depth and distortion,
    else empty.
    """

    @staticmethod
    def forward(ctx, splatter, camera, degree, antialiased, kind, deep, screen, motion, extra, *parameters):
        drawing = splatter.drawing
        arrays = SplatArrays(*splatter.packed(parameters), _fours(extra), camera, degree, antialiased, kind, deep)
        images, transmittance, shown, depths = drawing(lambda passes: passes.forward(arrays))
        count = 3 if extra is None else 3 + extra.shape[1]
        image = images[0][..., :count] if len(images) == 1 else np.concatenate(images, -1)[..., :count]
        ctx.kept = drawing, arrays, images, transmittance, depths, count
        nothing = np.empty(0, np.float32)
        median = nothing if depths is None else depths[..., MEDIAN]
        depth, distortion = nothing, nothing
        if deep and kind == "surface":
            depth, distortion = (depths[..., TOTAL] * depths[..., part] for part in (MEAN, SPREAD))
        outputs = image, transmittance, shown[:, 2].astype(np.int32), shown[:, :2], median, depth, distortion
        outputs = tuple(torch.from_numpy(np.ascontiguousarray(output)) for output in outputs)
        ctx.mark_non_differentiable(outputs[2], outputs[4])
        return outputs

    @staticmethod
    def backward(ctx, d_image, d_transmittance, _radii, _seen, _median, d_depth, d_distortion):
        drawing, arrays, images, transmittance, depths, count = ctx.kept
        slopes = _slopes(images, d_image.numpy(), transmittance * d_transmittance.numpy())
        if arrays.kind == "surface":
            slopes = [np.concatenate([slope, np.zeros_like(slope[:, :, :1])], 2) for slope in slopes]
            if arrays.deep:
                _add_depth(slopes[0], depths, d_depth.numpy(), d_distortion.numpy())
        rows, d_harmonics, further = drawing(lambda passes: passes.backward(arrays, slopes))
        parts = [
            torch.from_numpy(np.ascontiguousarray(rows[:, first:past]))
            for first, past in zip(ENDS, ENDS[1:], strict=False)
        ]
        d_means, d_rotations, d_log_scales, d_logits, d_shapes, d_screen, d_fourth, d_camera = parts
        d_extra = None
        if count > 3:
            d_extra = torch.cat([d_fourth, *(torch.from_numpy(part) for part in further)], 1)[:, : count - 3]
        given = d_means, d_rotations, d_log_scales, d_logits[:, 0], torch.from_numpy(d_harmonics)
        d_motion = _of_motion(d_means, d_screen, d_camera) if ctx.needs_input_grad[7] else None
        d_shapes = d_shapes[:, 0] if arrays.kind == "exponential" else None
        return *(None,) * 6, d_screen, d_motion, d_extra, *given, d_shapes


def _of_motion(d_means: Tensor, d_screen: Tensor, d_camera: Tensor) -> Tensor:
    """[10] the gradient of `SplatOptions.motion` from every splat's share."""
    shares = torch.cat([d_camera[:, :3], -d_means, d_camera[:, 3:], d_screen], 1)
    return torch.from_numpy(shares.numpy().sum(0, dtype=np.float64)).float()


def _further(splats: SplatTensors, camera: Camera, options: SplatOptions) -> Tensor | None:
    """[N,C] what is blended besides colour; of discs not depth, which is that of the ray's intersection."""
    if splats.kind != "surface" or not options.depth:
        return channels(splats, camera, options)
    parts = [] if options.extra is None else [options.extra]
    return torch.cat([*parts, facing_normals(splats, camera)], 1)


def _fours(extra: Tensor | None) -> list[np.ndarray]:
    """Further channels [N,C] as shaders take them: the first [N], the others [N,4] each, filled up with zeros."""
    if extra is None or extra.shape[1] == 0:
        return []
    values = extra.detach().numpy()
    padded = np.pad(values[:, 1:], ((0, 0), (0, -(values.shape[1] - 1) % 4)))
    rest = (padded[:, first : first + 4] for first in range(0, padded.shape[1], 4))
    return [np.ascontiguousarray(part) for part in (values[:, 0], *rest)]


def _slopes(images: list[np.ndarray], d_image: np.ndarray, behind: np.ndarray) -> list[np.ndarray]:
    """[H,W,2,4] of each of the images: see `SplatPasses.backward`; `behind` [H,W] is the last transmittance's share."""
    slopes = []
    for k, image in enumerate(images):
        slope = np.zeros((*image.shape[:2], 2, 4), np.float32)
        part = d_image[..., 4 * k : 4 * k + 4]
        slope[:, :, 0, : part.shape[2]] = part
        np.einsum("hwc,hwc->hw", image, slope[:, :, 0], out=slope[:, :, 1, 0])
        if k == 0:
            slope[:, :, 1, 0] += behind
        slopes.append(slope)
    return slopes


def _add_depth(slope: np.ndarray, depths: np.ndarray, d_depth: np.ndarray, d_distortion: np.ndarray) -> None:
    """Fill what a weight's slope [H,W,3,4] has from depth: base, line and bend around the mean, and the mean."""
    total, mean, spread = depths[..., TOTAL], depths[..., MEAN], depths[..., SPREAD]
    slope[:, :, 1, 0] += total * (d_depth * mean + 2 * d_distortion * spread)
    slope[:, :, 1, 1] = d_depth * mean + d_distortion * spread
    slope[:, :, 1, 2], slope[:, :, 1, 3] = d_depth, d_distortion * total
    slope[:, :, 2, 0] = mean


def _packed(parameters: tuple[Tensor | None, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(geometry [N,12], harmonics [N,K,3]) as shaders read them."""
    means, rotations, log_scales, logits, harmonics, shapes = parameters
    geometry = np.empty((len(means), GEOMETRY), np.float32)
    for first, past, part in zip(ENDS, ENDS[1:], (means, rotations, log_scales), strict=False):
        geometry[:, first:past] = part.detach().numpy()
    geometry[:, 10] = logits.detach().numpy()
    geometry[:, 11] = 2 if shapes is None else shapes.detach().numpy()
    return geometry, harmonics.detach().contiguous().numpy()


class WebgpuSplatter:
    """Float32 tensors of the CPU; on one machine and driver the same inputs give the same bits.

    Parameters cross over, images and gradients come back. A lost device is opened again and the call repeated, once,
    but for one that was given: there the loss is raised, and tensors must never change once they were drawn, since they
    cross over but once. Raises DeviceError where there is no adapter, and for more than the adapter lets a shader see
    at once.
    """

    name = "webgpu"

    def __init__(self, device: Gpu | None = None) -> None:
        self._lock = threading.Lock()
        self._given = device
        self._passes = SplatPasses(device or gpu())
        self._known: tuple[tuple[Tensor | None, ...], tuple[np.ndarray, np.ndarray]] | None = None

    def packed(self, parameters: tuple[Tensor | None, ...]) -> tuple[np.ndarray, np.ndarray]:
        """(geometry [N,12], harmonics [N,K,3]) of means, rotations, log_scales, logits, harmonics and shapes."""
        if self._given is None:
            return _packed(parameters)
        if self._known is None or any(a is not b for a, b in zip(self._known[0], parameters, strict=True)):
            self._known = parameters, _packed(parameters)
        return self._known[1]

    def drawing(self, work: Callable[[SplatPasses], T]) -> T:
        """What `work` returns on the device."""
        if self._given is not None:
            with self._lock:
                if self._given.lost:
                    raise self._given.lose("it was lost before")
                return work(self._passes)

        def on(device: Gpu) -> T:
            if device is not self._passes.gpu:
                self._passes = SplatPasses(device)
            return work(self._passes)

        with self._lock:
            return recovering(on)

    def render(self, splats: SplatTensors, camera: Camera, options: SplatOptions = PLAIN) -> SplatImage:
        """See Splatter (contract.py)."""
        if splats.means.dtype != torch.float32 or splats.means.device.type != "cpu":
            raise DeviceError(
                f"the webgpu splatter takes float32 tensors of the CPU, but got {splats.means.dtype} on "
                f"{splats.means.device}; use reference"
            )
        if splats.kind == "exponential" and options.rescaled:
            splats = rescaled(splats)
        degree = splats.degree if options.degree is None else min(options.degree, splats.degree)
        screen = torch.zeros(len(splats), 2, requires_grad=any(t.requires_grad for t in splats.tensors().values()))
        more = _further(splats, camera, options)
        if len(splats) == 0:
            image = torch.zeros(*camera.size, 3 if more is None else 3 + more.shape[1])
            image = image + sum(tensor.sum() for tensor in splats.tensors().values())  # zero, with a gradient
            transmittance, radii = torch.ones(camera.size), torch.zeros(0, dtype=torch.int32)
            median = depth = distortion = torch.zeros(camera.size)
        else:
            image, transmittance, radii, seen, median, depth, distortion = _Splat.apply(
                self, camera, degree, options.antialiased, splats.kind, options.depth,
                screen, options.motion, more,
                splats.means, splats.rotations, splats.log_scales, splats.logits, splats.harmonics, splats.shapes,
            )  # fmt: skip
            with torch.no_grad():
                screen.copy_(seen)
        if not options.depth:
            return put_together(image[..., :3], image[..., 3:], transmittance, radii, screen, options)
        named: dict[str, Tensor] = {"median_depth": median}
        if splats.kind == "surface":
            named |= {"depth": depth, "distortion": distortion, "normal": image[..., -3:]}
            options = replace(options, depth=False)
        return put_together(image[..., :3], image[..., 3:], transmittance, radii, screen, options, **named)
