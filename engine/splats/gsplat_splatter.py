"""The splat contract on CUDA through gsplat (nerfstudio-project, Apache-2.0), where the user has installed it.

Only kind `gaussian`, or exponentials that are rescaled. Written against gsplat 1.4; the tests have no CUDA and put a
small rasterizer of their own in its place: gsplat's extents, tie order and sums differ from the reference's within the
tolerance that it states.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.errors import DeviceError
from engine.scene.camera import Camera
from engine.splats.channels import channels, put_together, rescaled
from engine.splats.constants import LOW_PASS, NEAR
from engine.splats.contract import PLAIN, SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors


class GsplatSplatter:
    """Tensors of any device, which images and gradients go back to; gsplat draws on CUDA.

    `motion` gets the gradient of the camera's pose, channels included, and none of its intrinsics; of median depth
    nothing is computed. Raises DeviceError where gsplat does not import or there is no CUDA device, and for discs.
    """

    name = "gsplat"
    device = "cuda"

    def __init__(self) -> None:
        try:
            import gsplat
        except ImportError as error:
            raise DeviceError("splatter gsplat: it is not installed; use numba, webgpu or reference") from error
        if self.device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("splatter gsplat: torch finds no CUDA device; use numba, webgpu or reference")
        self._rasterization = gsplat.rasterization

    def render(self, splats: SplatTensors, camera: Camera, options: SplatOptions = PLAIN) -> SplatImage:
        """See Splatter (contract.py)."""
        if splats.kind == "exponential" and options.rescaled:
            splats = rescaled(splats)
        if splats.kind != "gaussian":
            raise DeviceError(f"splatter gsplat draws Gaussians, not the kind {splats.kind}; use numba or reference")
        home, wanted = splats.means.device, any(tensor.requires_grad for tensor in splats.tensors().values())
        extra = None if options.extra is None else options.extra.to(self.device)
        there = replace(splats, **{name: tensor.to(self.device) for name, tensor in splats.tensors().items()})
        degree = splats.degree if options.degree is None else min(options.degree, splats.degree)
        (fx, fy), (cx, cy) = camera.focal, camera.centre
        common = {
            "means": there.means,
            "quats": there.rotations,
            "scales": there.log_scales.exp(),
            "opacities": there.logits.sigmoid(),
            "viewmats": _view(camera, options.motion).to(self.device)[None],
            "Ks": torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32, device=self.device)[None],
            "width": camera.width,
            "height": camera.height,
            "near_plane": NEAR,
            "eps2d": LOW_PASS,
            "packed": False,
            "rasterize_mode": "antialiased" if options.antialiased else "classic",
        }
        color, alpha, seen = self._rasterization(colors=there.harmonics, sh_degree=degree, **common)
        image = color[0]
        further = channels(there, camera, replace(options, extra=extra))
        if further is not None:
            image = torch.cat([image, self._rasterization(colors=further, **common)[0][0]], -1)
        screen = torch.zeros(len(splats), 2, device=home, requires_grad=wanted)
        means = seen["means2d"]  # [1,N,2]
        if means.requires_grad:
            means.register_hook(lambda slope: setattr(screen, "grad", slope[0].to(home)))
        with torch.no_grad():
            screen.copy_(means[0])
        radii = seen["radii"][0].amax(-1) if seen["radii"].ndim == 3 else seen["radii"][0]
        image = image.to(home)
        images = image[..., :3], image[..., 3:], 1 - alpha[0, ..., 0].to(home), radii.to(home, torch.int32)
        return put_together(*images, screen, options)


def _view(camera: Camera, motion: Tensor | None) -> Tensor:
    """[4,4] camera from world, differentiable in the first six of `motion`, all zero (see SplatOptions)."""
    view = torch.from_numpy(np.ascontiguousarray(camera.camera_from_world, np.float32))
    if motion is None:
        return view
    motion = motion.cpu()
    x, y, z = (motion - motion.detach())[:3]
    zero = torch.zeros(())
    turn = torch.eye(3) + torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    position = torch.from_numpy(np.array(camera.position, np.float32)) + (motion - motion.detach())[3:6]
    rotation = view[:3, :3] @ turn.T
    last = torch.tensor([[0.0, 0, 0, 1]])
    return torch.cat([torch.cat([rotation, -(rotation @ position)[:, None]], 1), last])
