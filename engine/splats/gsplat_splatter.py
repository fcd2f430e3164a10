"""The splat contract on CUDA through gsplat (nerfstudio-project, Apache-2.0), where the user has installed it.

Only kind `gaussian`, or exponentials that are rescaled. Written against gsplat 1.4; never run by the tests, which have
no CUDA: its extents, tie order and sums differ from the reference's within the tolerance that gsplat states.
"""

from __future__ import annotations

import numpy as np
import torch

from engine.errors import DeviceError
from engine.scene.camera import Camera
from engine.splats.channels import channels, put_together, rescaled
from engine.splats.constants import LOW_PASS, NEAR
from engine.splats.contract import PLAIN, SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors


class GsplatSplatter:
    """Needs CUDA tensors; raises DeviceError where gsplat does not import or there is no CUDA device."""

    name = "gsplat"

    def __init__(self) -> None:
        try:
            import gsplat
        except ImportError as error:
            raise DeviceError("splatter gsplat: it is not installed; use numba, webgpu or reference") from error
        if not torch.cuda.is_available():
            raise DeviceError("splatter gsplat: torch finds no CUDA device; use numba, webgpu or reference")
        self._rasterization = gsplat.rasterization

    def render(self, splats: SplatTensors, camera: Camera, options: SplatOptions = PLAIN) -> SplatImage:
        """See Splatter (contract.py)."""
        if splats.kind == "exponential" and options.rescaled:
            splats = rescaled(splats)
        if splats.kind != "gaussian":
            raise DeviceError(f"splatter gsplat draws Gaussians, not the kind {splats.kind}; use numba or reference")
        degree = splats.degree if options.degree is None else min(options.degree, splats.degree)
        (fx, fy), (cx, cy) = camera.focal, camera.centre
        like = {"dtype": torch.float32, "device": splats.means.device}
        view = torch.tensor(np.ascontiguousarray(camera.camera_from_world), **like)[None]
        lens = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], **like)[None]
        common = {
            "means": splats.means,
            "quats": splats.rotations,
            "scales": splats.log_scales.exp(),
            "opacities": splats.logits.sigmoid(),
            "viewmats": view,
            "Ks": lens,
            "width": camera.width,
            "height": camera.height,
            "near_plane": NEAR,
            "eps2d": LOW_PASS,
            "packed": False,
            "rasterize_mode": "antialiased" if options.antialiased else "classic",
        }
        color, alpha, seen = self._rasterization(colors=splats.harmonics, sh_degree=degree, **common)
        image = color[0]
        further = channels(splats, camera, options)
        if further is not None:
            image = torch.cat([image, self._rasterization(colors=further, **common)[0][0]], -1)
        screen = seen["means2d"]  # [1,N,2], whose gradient density control reads
        if screen.requires_grad:
            screen.retain_grad()
        radii = seen["radii"][0].amax(-1) if seen["radii"].ndim == 3 else seen["radii"][0]
        return put_together(image, 1 - alpha[0, ..., 0], radii.to(torch.int32), screen, options)
