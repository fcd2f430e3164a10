"""Mip-mapped texture look-up by nvdiffrast, for CUDA tensors."""

from __future__ import annotations

from torch import Tensor


def texture_nvdiffrast(pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
    """Trilinear look-up [P,C] of points uv [P,2] at mip level [P] (None: level 0); as `texture_reference`.

    The order of its atomic additions, and so the last bits of the gradients, change from run to run.
    """
    from nvdiffrast.torch import texture

    levels = [values[None].contiguous() for values in pyramid]
    points = uv[None, None].contiguous()
    if level is None or len(levels) == 1:
        return texture(levels[0], points, filter_mode="linear", boundary_mode="clamp")[0, 0]
    return texture(
        levels[0],
        points,
        mip_level_bias=level.detach()[None, None].contiguous(),
        mip=levels[1:],
        filter_mode="linear-mipmap-linear",
        boundary_mode="clamp",
    )[0, 0]
