"""Finite differences judge every gradient of the reference, in double precision.

The scene: four splats, of 0.3 to 0.6 units and three units away, on an image of 12 x 9 pixels, so that every pixel
blends several and each splat ends within the image; one is almost opaque. The loss weights every pixel
and channel of every image (colour, alpha, depth, normal, a further channel, distortion) at random. Central differences
hold only where no pixel crosses a threshold between the two sides. Each splat therefore carries a channel of its own,
its blending weight, and both sides of every difference must blend the same splats in the same pixels.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from tests.engine.splats.scenes import camera, loss_of, scene

COUNT, STEP = 4, 1e-6
CASES = {
    "gaussian": ("gaussian", {}),
    "antialiased": ("gaussian", {"antialiased": True}),
    "exponential": ("exponential", {}),
    "exponential antialiased": ("exponential", {"antialiased": True}),
    "rescaled": ("exponential", {"rescaled": True}),
    "surface": ("surface", {}),
}


def small_scene(kind, degree: int = 1) -> SplatTensors:
    splats = scene(kind, COUNT, degree, seed=5, scale=(0.3, 0.6), spread=0.6)
    splats.logits[0] = 6.0
    return SplatTensors.of(splats, torch.float64)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_finite_differences(case):
    kind, more = CASES[case]
    tensors, view = small_scene(kind), camera(12, 9, 9.0)
    extra = torch.eye(COUNT, dtype=torch.float64)
    background = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64)
    leaves = tensors.tensors() | {"extra": extra, "background": background}
    options = SplatOptions(background=background, extra=extra, depth=True, **more)

    def loss() -> tuple[float, np.ndarray]:
        image = splatter("reference").render(tensors, view, options)
        return float(loss_of(image)), (image.extra.detach() != 0).numpy()

    with torch.no_grad():
        slopes = {}
        for name, leaf in leaves.items():
            slopes[name] = torch.zeros_like(leaf)
            flat, slope = leaf.view(-1), slopes[name].view(-1)
            for k in range(len(flat)):
                value = float(flat[k])
                flat[k] = value + STEP
                above, blended_above = loss()
                flat[k] = value - STEP
                below, blended_below = loss()
                flat[k] = value
                slope[k] = (above - below) / (2 * STEP)
                if name != "extra":
                    np.testing.assert_array_equal(blended_above, blended_below)
    for leaf in leaves.values():
        leaf.requires_grad_()
    loss_of(splatter("reference").render(tensors, view, options)).backward()
    for name, leaf in leaves.items():
        error = float((leaf.grad - slopes[name]).norm())
        assert float(slopes[name].norm()) > 0, name
        assert error <= 1e-6 * float(slopes[name].norm()), (name, error, float(slopes[name].norm()))


@pytest.mark.parametrize("degree", [2, 3])
def test_harmonics_of_higher_degree_move_with_the_mean(degree):
    tensors, view = small_scene("gaussian", degree), camera(12, 9, 9.0)
    leaves = (tensors.means.requires_grad_(), tensors.harmonics.requires_grad_())

    def loss(means: torch.Tensor, harmonics: torch.Tensor) -> torch.Tensor:
        changed = SplatTensors(means, tensors.rotations, tensors.log_scales, tensors.logits, harmonics)
        return loss_of(splatter("reference").render(changed, view))

    assert torch.autograd.gradcheck(loss, leaves, eps=STEP, atol=1e-6, rtol=1e-6, fast_mode=True)
