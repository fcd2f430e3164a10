"""Losses with stochastic gradients as torch operations: what renders and compares may be any function of any kind.

Each takes the parameters to differentiate and a function that turns parameters into one loss per pixel. The function is
called twice, at theta + eps s and theta - eps s, without autograd; it may quantize, look up, or leave Python. The value
is the mean of the two, which is the loss at theta but for eps squared; the gradient is `credit`'s estimate, noisy in
every step and right on the mean. Optimize vertices with large steps or another smoothing, or nothing converges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.errors import UnrenderError
from engine.raster.contract import Rasterizer, VisibilityBuffer
from engine.raster.stochastic.credit import CreditRule, credited, gradient, gradient_reference
from engine.raster.stochastic.light_credit import EnvironmentCredit, LightCones
from engine.raster.stochastic.perturbation import perturbed, signs_of, vertex_eps
from engine.raster.stochastic.pose_credit import PoseCredit
from engine.raster.stochastic.texel_credit import TexelCredit, TexturePoints
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit

Image = Tensor | np.ndarray  # [H,W] one loss per pixel
Evaluation = Callable[[Tensor], tuple[Image, Any]]  # parameters -> losses, and what the credit rule is made of


def loss_image(value: Image, size: tuple[int, int]) -> Tensor:
    """[H,W] `value` as a CPU tensor. Raises UnrenderError for another shape and for values that are not finite."""
    image = torch.as_tensor(value).detach().cpu()
    if tuple(image.shape) != tuple(size):
        raise UnrenderError(
            f"a loss per pixel of shape {list(size)} is needed, but the render function returned {list(image.shape)}; "
            "take the mean over colour channels and return one value for every pixel"
        )
    if torch.isfinite(image.sum()):  # one pass where all is well
        return image
    bad = ~torch.isfinite(image)
    if bad.any():
        row, column = (int(i) for i in torch.nonzero(bad)[0])
        raise UnrenderError(
            f"the loss is not finite at {int(bad.sum())} pixels, the first in row {row}, column {column}; "
            "make the render function return numbers everywhere"
        )
    return image


def estimate(
    values: Tensor,  # [N,C] float32, or float64 for the reference
    eps: Tensor | float,  # > 0, broadcasts to [N,C], in the unit of values
    key: int,  # of the signs, see engine/kernels/signs.py
    evaluate: Evaluation,
    rule: Callable[[Any, Any], CreditRule],
    size: tuple[int, int],  # (height, width) of the loss images
) -> tuple[Tensor, Tensor]:
    """(loss summed over pixels [], its gradient [N,C]) from one antithetic pair of evaluations.

    `rule` is made of what `evaluate` returned beside its losses at + and -. float32 is summed in fixed point and is the
    same on any number of threads.
    """
    plus, minus = perturbed(values, eps, key)
    with torch.no_grad():
        (above, seen_plus), (below, seen_minus) = evaluate(plus), evaluate(minus)
    above, below = (loss_image(image, size).to(values.dtype) for image in (above, below))
    made = rule(seen_plus, seen_minus)
    drawn, step = signs_of(values, key).cpu(), torch.as_tensor(eps, dtype=values.dtype).cpu()
    if values.dtype == torch.float32:
        sums, scale = credited(made, above.numpy(), below.numpy())
        slopes = torch.from_numpy(gradient(sums, scale, drawn.numpy(), step.numpy()))
    else:
        slopes = gradient_reference(made, above, below, drawn, step)
    return 0.5 * (above.sum() + below.sum()).to(values.device), slopes.to(values.device)


class _Estimated(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, estimated: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        loss, slopes = estimated(values.detach())
        ctx.save_for_backward(slopes)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, incoming: Tensor):
        (slopes,) = ctx.saved_tensors
        return incoming * slopes, None


def stochastic_loss(
    vertices: Tensor,  # [V,3] capture units; gets the gradient
    render_loss: Callable[[VisibilityBuffer, Tensor], Image],  # (what is seen, moved vertices [V,3]) -> [H,W]
    triangles: Tensor,  # [F,3] int32
    clip_from_world: Tensor | np.ndarray,  # [4,4] of a pinhole, w = camera depth
    size: tuple[int, int],  # (H,W) pixels
    rasterizer: Rasterizer,
    *,
    key: int,  # new in every step and view: sign_key(seed, step, VERTICES)
    eps: float = 0.4,  # pixels
    stencils: Stencils | None = None,  # None: of smooth vertex normals; Stencils.flat where shading has none
    cull_backfaces: bool = False,
) -> Tensor:
    """The loss [] summed over the pixels of one view, with a stochastic gradient to the vertices.

    The loss at a pixel may depend on the vertices in the stencil of the triangle that it shows, and on nothing else:
    a screen-space effect has to be left out or widened to. Raises UnrenderError where a loss is not finite.
    """
    matrix = torch.as_tensor(np.asarray(clip_from_world), dtype=vertices.dtype, device=vertices.device)
    around = stencils or Stencils.smooth(triangles.cpu().numpy(), len(vertices))

    def evaluate(moved: Tensor) -> tuple[Image, np.ndarray]:
        clip = moved @ matrix[:, :3].T + matrix[:, 3]
        buffer = rasterizer.visibility(clip, triangles, size, cull_backfaces)
        return render_loss(buffer, moved), buffer.triangle_id.cpu().numpy()

    def estimated(values: Tensor) -> tuple[Tensor, Tensor]:
        step = vertex_eps(values, clip_from_world, size, eps)
        return estimate(values, step, key, evaluate, lambda a, b: VertexCredit(a, b, around), size)

    return _Estimated.apply(vertices, estimated)


def stochastic_texture_loss(
    texture: Tensor,  # [H,W,C]; gets the gradient
    render_loss: Callable[[Tensor], Image],  # moved texture [H,W,C] -> [h,w]
    points: TexturePoints,  # where the pixels look it up
    *,
    key: int,
    eps: Tensor | float = 0.02,  # of the channels' values; [C] or one for all
    levels: int | None = None,  # of the mip pyramid that is looked up; 1 where it is not filtered
) -> Tensor:
    """The loss [] summed over pixels, with a stochastic gradient to a texture on geometry that stands still."""
    shape, size = texture.shape, points.level.shape

    def evaluate(moved: Tensor) -> tuple[Image, TexturePoints]:
        return render_loss(moved.view(shape)), points

    def estimated(values: Tensor) -> tuple[Tensor, Tensor]:
        def rule(a, b):
            return TexelCredit(a, b, tuple(shape[:2]), levels)

        loss, slopes = estimate(values.reshape(-1, shape[2]), eps, key, evaluate, rule, size)
        return loss, slopes.view(shape)

    return _Estimated.apply(texture, estimated)


def stochastic_environment_loss(
    environment: Tensor,  # [H,W,C] equirectangular radiance, or its logarithm; gets the gradient
    render_loss: Callable[[Tensor], Image],  # moved environment [H,W,C] -> [h,w]
    cones: LightCones,  # what the pixels see of it
    *,
    key: int,
    eps: Tensor | float = 0.05,  # of the values
) -> Tensor:
    """The loss [] summed over pixels, with a stochastic gradient to the environment's texels."""
    shape, size = environment.shape, cones.angle.shape

    def evaluate(moved: Tensor) -> tuple[Image, LightCones]:
        return render_loss(moved.view(shape)), cones

    def estimated(values: Tensor) -> tuple[Tensor, Tensor]:
        def rule(a, b):
            return EnvironmentCredit(a, b, tuple(shape[:2]))

        loss, slopes = estimate(values.reshape(-1, shape[2]), eps, key, evaluate, rule, size)
        return loss, slopes.view(shape)

    return _Estimated.apply(environment, estimated)


def stochastic_pose_loss(
    twist: Tensor,  # [6] rotation vector (radians) and translation in the camera's frame; gets the gradient
    render_loss: Callable[[Tensor], Image],  # moved twist [6] -> [H,W]
    eps: Tensor | np.ndarray,  # [6], see `pose_eps`
    size: tuple[int, int],
    *,
    key: int,
) -> Tensor:
    """The loss [] summed over pixels, with a stochastic gradient to the camera's rigid motion (`moved_pose`)."""
    steps = torch.as_tensor(eps, dtype=twist.dtype)

    def evaluate(moved: Tensor) -> tuple[Image, None]:
        return render_loss(moved[0]), None

    def estimated(values: Tensor) -> tuple[Tensor, Tensor]:
        loss, slopes = estimate(values[None], steps, key, evaluate, lambda a, b: PoseCredit(size), size)
        return loss, slopes[0]

    return _Estimated.apply(twist, estimated)
