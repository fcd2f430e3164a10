"""The splat contract in plain torch, every splat against every pixel: what the fast implementations are held to."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from engine.scene.camera import Camera
from engine.splats.channels import channels, put_together, rescaled
from engine.splats.constants import NEAR
from engine.splats.contract import PLAIN, SplatImage, SplatOptions
from engine.splats.harmonics import colored
from engine.splats.parameters import SplatTensors
from engine.splats.reference_blend import Footprint, blended
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

        def placed(which: Tensor) -> tuple[SplatTensors, Tensor, Footprint, Tensor]:
            part = replace(splats, **{name: tensor[which] for name, tensor in splats.tensors().items()})
            local = points[which]
            centres = local[:, :2] / local[:, 2:] * view.focal + view.centre + screen[which]
            if splats.kind == "surface":
                return part, centres, *discs(part, local, centres, view)
            return part, centres, *ellipses(part, local, centres, view, options.antialiased)

        with torch.no_grad():
            nearest = nearest[placed(nearest)[3] > 0]  # what is not seen may not be a number, and has no gradient
        shown, centres, footprint, radii = placed(nearest)
        values = colored(shown.means, view.position, shown.harmonics, degree)
        more = channels(splats, camera, options)
        if more is not None:
            values = torch.cat([values, more[nearest]], 1)
        image, transmittance, depth, distortion, median = blended(footprint, values, camera.size, options.depth)
        every = torch.zeros(len(splats), dtype=torch.int32, device=radii.device)
        every[nearest] = radii
        with torch.no_grad():
            screen[nearest] = centres
        if options.depth and splats.kind == "surface":  # that of the ray's intersection instead of the mean's
            at = 3 if options.extra is None else 3 + options.extra.shape[1]
            image = torch.cat([image[..., :at], depth[..., None], image[..., at + 1 :]], -1)
        further = {"median_depth": median, "distortion": distortion if splats.kind == "surface" else None}
        return put_together(image[..., :3], image[..., 3:], transmittance, every, screen, options, **further)
