"""The splat contract on the CPU, with numba, for kind `surface`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from engine.scene.camera import Camera
from engine.splats.channels import facing_normals, put_together
from engine.splats.contract import SplatImage, SplatOptions
from engine.splats.numba_composite import sum_places
from engine.splats.numba_disc_backward import composite_discs_backward
from engine.splats.numba_disc_composite import DEPTHS, MEAN, MEDIAN, SPREAD, TOTAL, composite_discs
from engine.splats.numba_disc_project import COLUMNS, FEATURES, project_discs, project_discs_backward
from engine.splats.numba_disc_tiles import find_discs
from engine.splats.numba_tiles import binned
from engine.splats.numba_view import MOTION, View
from engine.splats.parameters import SplatTensors


class _Discs(torch.autograd.Function):
    """Projects, bins and blends; the gradient of `screen`, which enters as zeros, is that of the projected means.

    (color [H,W,3], further channels [H,W,F-3], transmittance, radii, seen means) and with `deep` (depth, distortion,
    median depth), else empty.
    """

    @staticmethod
    def forward(ctx, camera, degree, deep, screen, motion, channels, means, rotations, log_scales, logits, harmonics):
        given = (means, rotations, log_scales, logits, harmonics)
        arrays = [tensor.detach().contiguous().numpy() for tensor in given]
        count, view = len(means), View.of(camera)
        width = 3 if channels is None else 3 + channels.shape[1]
        discs, features = np.empty((count, COLUMNS), np.float32), np.empty((count, width), np.float32)
        ellipses = np.empty((count, 8), np.float32)
        distance, bounds, radii = np.empty(count, np.float32), np.empty((count, 4), np.int32), np.empty(count, np.int32)
        if channels is not None:
            features[:, 3:] = channels.detach().numpy()
        pose = view.view, view.position, view.lens
        project_discs(
            *arrays, *pose, view.size, degree, discs, ellipses, distance, bounds, radii, features
        )  # fmt: skip
        tiles = binned((discs, ellipses), distance, bounds, radii, camera.width, camera.height, find_discs)
        color, further = (np.empty((*camera.size, channels), np.float32) for channels in (3, width - 3))
        transmittance = np.empty(camera.size, np.float32)
        depths = np.empty((*camera.size, DEPTHS), np.float32) if deep else None
        blended = discs, features, color, further, transmittance, depths
        composite_discs(camera.width, camera.height, tiles.columns, tiles.starts, tiles.splats, *blended)
        ctx.kept = arrays, pose, degree, camera.size, tiles, radii, blended
        seen = np.where((radii > 0)[:, None], discs[:, :2], np.float32(0))
        plain = np.empty(0, np.float32)
        total = depths[..., TOTAL] if deep else plain
        depth, distortion = (total * depths[..., part] if deep else plain for part in (MEAN, SPREAD))
        median = depths[..., MEDIAN].copy() if deep else plain
        outputs = (color, further, transmittance, radii, seen, depth, distortion, median)
        outputs = tuple(torch.from_numpy(output) for output in outputs)
        ctx.mark_non_differentiable(outputs[3], outputs[7])
        return outputs

    @staticmethod
    def backward(ctx, d_color, d_further, d_transmittance, _radii, _seen, d_depth, d_distortion, _median):
        arrays, pose, degree, size, tiles, radii, blended = ctx.kept
        discs, features, _, _, _, depths = blended
        sums = np.empty((len(tiles.splats), FEATURES + features.shape[1]), np.float32)
        totals = np.zeros((len(radii), sums.shape[1]), np.float32)
        slopes = [np.ascontiguousarray(d.numpy()) for d in (d_color, d_further, d_transmittance)]
        deep = [None, None] if depths is None else [np.ascontiguousarray(d.numpy()) for d in (d_depth, d_distortion)]
        composite_discs_backward(
            size[1], size[0], tiles.columns, tiles.starts, tiles.splats, *blended, *slopes, *deep, sums
        )  # fmt: skip
        sum_places(tiles.order, tiles.slots, tiles.places, sums, totals)
        gradients = [np.empty_like(array) for array in arrays]
        d_screen = np.empty((len(radii), 2), np.float32)
        moving = ctx.needs_input_grad[4]
        d_camera = np.empty((len(radii) if moving else 0, MOTION), np.float32)
        project_discs_backward(*arrays, *pose, degree, discs, radii, totals, *gradients, d_screen, d_camera)
        d_motion = torch.from_numpy(d_camera.sum(0, dtype=np.float64)).float() if moving else None
        d_channels = torch.from_numpy(totals[:, FEATURES + 3 :].copy()) if features.shape[1] > 3 else None
        given = (torch.from_numpy(gradient) for gradient in gradients)
        return None, None, None, torch.from_numpy(d_screen), d_motion, d_channels, *given


def rendered_discs(splats: SplatTensors, camera: Camera, options: SplatOptions) -> SplatImage:
    """What `Splatter.render` (contract.py) says, for discs."""
    degree = splats.degree if options.degree is None else min(options.degree, splats.degree)
    screen = torch.zeros(len(splats), 2, requires_grad=any(t.requires_grad for t in splats.tensors().values()))
    parts = [] if options.extra is None else [options.extra]
    if options.depth:
        parts.append(facing_normals(splats, camera))
    color, channels, transmittance, radii, seen, depth, distortion, median = _Discs.apply(
        camera, degree, options.depth, screen, options.motion, torch.cat(parts, 1).contiguous() if parts else None,
        splats.means, splats.rotations, splats.log_scales, splats.logits, splats.harmonics,
    )  # fmt: skip
    with torch.no_grad():
        screen.copy_(seen)
    if not options.depth:
        return put_together(color, channels, transmittance, radii, screen, options)
    further = {"depth": depth, "distortion": distortion, "median_depth": median, "normal": channels[..., -3:]}
    return put_together(color, channels, transmittance, radii, screen, replace(options, depth=False), **further)
