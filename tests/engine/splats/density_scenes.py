"""A step of optimization with density control, on small scenes."""

from __future__ import annotations

import torch

from engine.scene.gaussians import Kind
from engine.splats import splatter
from engine.splats.contract import SplatImage, SplatOptions
from engine.splats.density.contract import DensityControl
from engine.splats.parameters import SplatTensors
from tests.engine.splats.scenes import camera, scene

RATES = {"means": 1e-3, "rotations": 1e-3, "log_scales": 5e-3, "logits": 5e-2, "harmonics": 2e-3, "shapes": 1e-3}


def optimized(kind: Kind = "gaussian", count: int = 40, seed: int = 0, degree: int = 1, **scales):
    """Random splats as leaves, and their optimizer, one group per field."""
    splats = SplatTensors.of(scene(kind, count, degree, seed, **scales))
    for tensor in splats.tensors().values():
        tensor.requires_grad_()
    groups = [{"params": [t], "name": name, "lr": RATES[name]} for name, t in splats.tensors().items()]
    return splats, torch.optim.Adam(groups)


def view(splats: SplatTensors, control: DensityControl, optimizer: torch.optim.Optimizer) -> SplatImage:
    """One view rendered, its loss brought down by a step, and seen by `control`; the error is that to a grey image."""
    seen_from = camera(24, 18, 18.0)
    optimizer.zero_grad()
    image = splatter("reference").render(splats, seen_from, SplatOptions(extra=control.extra(splats)))
    error = (image.color - 0.5).abs()
    (error.mean() + control.weighed(image, error.detach().mean(-1)) + control.penalty(splats)).backward()
    control.observe(image, seen_from)
    optimizer.step()
    return image


def fake_moments(splats: SplatTensors, optimizer: torch.optim.Optimizer) -> None:
    """Moments that name their splat: its index plus one, in every place."""
    for tensor in splats.tensors().values():
        number = torch.arange(1.0, len(splats) + 1).reshape(-1, *[1] * (tensor.dim() - 1)).expand_as(tensor)
        optimizer.state[tensor] = {
            "step": torch.tensor(7.0),
            "exp_avg": number.clone(),
            "exp_avg_sq": 2 * number,
        }
