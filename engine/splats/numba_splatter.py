"""The splat contract on the CPU, with numba."""

from __future__ import annotations

import numpy as np
import torch

from engine.scene.camera import Camera
from engine.splats.channels import channels, put_together, rescaled
from engine.splats.contract import PLAIN, SplatImage, SplatOptions
from engine.splats.numba_composite import composite, composite_backward, sum_places
from engine.splats.numba_discs import rendered_discs
from engine.splats.numba_project import FEATURES, project, project_backward
from engine.splats.numba_tiles import binned
from engine.splats.numba_view import MOTION, View
from engine.splats.parameters import SplatTensors


class _Splat(torch.autograd.Function):
    """Projects, bins and blends; the gradient of `screen`, which enters as zeros, is that of the projected means."""

    @staticmethod
    def forward(
        ctx, camera, degree, antialiased, deep, screen, motion, extra,
        means, rotations, log_scales, logits, harmonics, shapes,
    ):  # fmt: skip
        arrays = [
            None if t is None else t.detach().contiguous().numpy()
            for t in (means, rotations, log_scales, logits, harmonics, shapes)
        ]
        count, view = len(means), View.of(camera)
        channels = 3 if extra is None else 3 + extra.shape[1]
        ellipses, features = np.empty((count, 8), np.float32), np.empty((count, channels), np.float32)
        depths, bounds, radii = np.empty(count, np.float32), np.empty((count, 4), np.int32), np.empty(count, np.int32)
        if extra is not None:
            features[:, 3:] = extra.detach().numpy()
        project(
            *arrays,
            view.view,
            view.position,
            view.lens,
            view.size,
            degree,
            antialiased,
            ellipses,
            depths,
            bounds,
            radii,
            features,
        )
        tiles = binned(ellipses, depths, bounds, radii, camera.width, camera.height)
        color, further = (np.empty((*camera.size, width), np.float32) for width in (3, channels - 3))
        transmittance = np.empty(camera.size, np.float32)
        median = np.empty(camera.size, np.float32) if deep else None
        composite(
            camera.width,
            camera.height,
            tiles.columns,
            tiles.starts,
            tiles.splats,
            ellipses,
            arrays[5],
            features,
            color,
            further,
            transmittance,
            depths,
            median,
        )
        ctx.kept = (
            arrays,
            view,
            degree,
            antialiased,
            camera.size,
            tiles,
            ellipses,
            radii,
            features,
            color,
            further,
            transmittance,
        )
        seen = np.where((radii > 0)[:, None], ellipses[:, :2], np.float32(0))
        outputs = tuple(torch.from_numpy(array) for array in (color, further, transmittance, radii))
        median = torch.from_numpy(np.empty(0, np.float32) if median is None else median)
        ctx.mark_non_differentiable(outputs[3], median)
        return *outputs, torch.from_numpy(seen), median

    @staticmethod
    def backward(ctx, d_color, d_further, d_transmittance, _radii, _seen, _median):
        arrays, view, degree, antialiased, size, tiles, ellipses, radii, features, *blended = ctx.kept
        sums = np.empty((len(tiles.splats), FEATURES + features.shape[1]), np.float32)
        totals = np.zeros((len(radii), sums.shape[1]), np.float32)
        slopes = (np.ascontiguousarray(d.numpy()) for d in (d_color, d_further, d_transmittance))
        composite_backward(
            size[1],
            size[0],
            tiles.columns,
            tiles.starts,
            tiles.splats,
            ellipses,
            arrays[5],
            features,
            *blended,
            *slopes,
            sums,
        )
        sum_places(tiles.order, tiles.slots, tiles.places, sums, totals)
        gradients = [None if array is None else np.empty_like(array) for array in arrays]
        d_screen = np.empty((len(radii), 2), np.float32)
        d_camera = np.empty((len(radii) if ctx.needs_input_grad[5] else 0, MOTION), np.float32)
        project_backward(
            *arrays,
            view.view,
            view.position,
            view.lens,
            degree,
            antialiased,
            ellipses,
            radii,
            totals,
            *gradients,
            d_screen,
            d_camera,
        )
        d_extra = torch.from_numpy(totals[:, FEATURES + 3 :].copy()) if features.shape[1] > 3 else None
        given = (None if gradient is None else torch.from_numpy(gradient) for gradient in gradients)
        d_motion = torch.from_numpy(d_camera.sum(0, dtype=np.float64)).float() if ctx.needs_input_grad[5] else None
        return None, None, None, None, torch.from_numpy(d_screen), d_motion, d_extra, *given


class NumbaSplatter:
    """Repeats bit for bit, whatever the thread count; float32 on the CPU."""

    name = "numba"

    def render(self, splats: SplatTensors, camera: Camera, options: SplatOptions = PLAIN) -> SplatImage:
        """See Splatter (contract.py)."""
        if splats.kind == "surface":
            return rendered_discs(splats, camera, options)
        if splats.kind == "exponential" and options.rescaled:
            splats = rescaled(splats)
        degree = splats.degree if options.degree is None else min(options.degree, splats.degree)
        screen = torch.zeros(len(splats), 2, requires_grad=any(t.requires_grad for t in splats.tensors().values()))
        color, further, transmittance, radii, seen, median = _Splat.apply(
            camera, degree, options.antialiased, options.depth, screen, options.motion,
            channels(splats, camera, options),
            splats.means, splats.rotations, splats.log_scales, splats.logits, splats.harmonics, splats.shapes,
        )  # fmt: skip
        with torch.no_grad():
            screen.copy_(seen)
        more = {"median_depth": median} if options.depth else {}
        return put_together(color, further, transmittance, radii, screen, options, **more)
