"""The splat contract in plain torch, every splat against every pixel: what the fast implementations are held to."""

from __future__ import annotations

from dataclasses import replace

import torch

from engine.scene.camera import Camera
from engine.splats.channels import channels, put_together, rescaled
from engine.splats.constants import NEAR
from engine.splats.contract import PLAIN, SplatImage, SplatOptions
from engine.splats.harmonics import colored
from engine.splats.parameters import SplatTensors
from engine.splats.reference_blend import blended
from engine.splats.reference_project import View, ellipses
from engine.splats.reference_surface import discs


class ReferenceSplatter:
    """Any floating type and device; the cost is that of all pairs of a splat and a pixel."""

    name = "reference"

    def render(self, splats: SplatTensors, camera: Camera, options: SplatOptions = PLAIN) -> SplatImage:
        """See Splatter (contract.py)."""
        if splats.kind == "exponential" and options.rescaled:
            splats = rescaled(splats)
        degree = splats.degree if options.degree is None else min(options.degree, splats.degree)
        view = View.of(camera, splats.means)
        wanted = any(tensor.requires_grad for tensor in splats.tensors().values())
        screen = torch.zeros(len(splats), 2, dtype=splats.means.dtype, device=splats.means.device, requires_grad=wanted)
        points = (splats.means - view.position) @ view.rotation.T
        with torch.no_grad():
            nearest = torch.sort(points[:, 2], stable=True).indices
            nearest = nearest[points[nearest, 2] > NEAR]
        points = points[nearest]
        centres = points[:, :2] / points[:, 2:] * view.focal + view.centre + screen[nearest]
        shown = replace(splats, **{name: tensor[nearest] for name, tensor in splats.tensors().items()})
        if splats.kind == "surface":
            footprint, radii = discs(shown, points, centres, view)
        else:
            footprint, radii = ellipses(shown, points, centres, view, options.antialiased)
        values = colored(shown.means, view.position, shown.harmonics, degree)
        more = channels(splats, camera, options)
        if more is not None:
            values = torch.cat([values, more[nearest]], 1)
        image, transmittance, depth, distortion, median = blended(footprint, values, camera.size, options.depth)
        every = torch.zeros(len(splats), dtype=torch.int32, device=radii.device)
        every[nearest] = radii
        with torch.no_grad():
            screen[nearest] = torch.where(radii[:, None] > 0, centres, 0.0)
        if options.depth and splats.kind == "surface":  # that of the ray's intersection instead of the mean's
            at = 3 if options.extra is None else 3 + options.extra.shape[1]
            image = torch.cat([image[..., :at], depth[..., None], image[..., at + 1 :]], -1)
        further = {"median_depth": median, "distortion": distortion if splats.kind == "surface" else None}
        return put_together(image, transmittance, every, screen, options, **further)
