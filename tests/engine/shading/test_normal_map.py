"""Bent normals: the kernel equals its torch twin, the twin's gradient the finite differences."""

from __future__ import annotations

import pytest
import torch

from engine.shading.normal_map import bent_normal, bent_normal_reference


def points(columns: int, count: int = 2000) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    normals, tangents, texture = (torch.randn(count, n, generator=generator) for n in (3, 4, columns))
    tangents[:, 3] = tangents[:, 3].sign()
    texture[0] = 0
    normals[0] = 0  # no direction at all
    return [normals, tangents, texture]


@pytest.mark.parametrize("columns", [2, 3])
def test_the_kernel_equals_torch(columns):
    arguments = points(columns)
    weights = torch.randn(len(arguments[0]), 3, generator=torch.Generator().manual_seed(1))

    def evaluated(function, dtype):
        normals, tangents, texture = (x.to(dtype).clone() for x in arguments)
        normals.requires_grad_(), texture.requires_grad_()
        value = function(normals, tangents, texture)
        (value * weights).sum().backward()
        return value.detach(), normals.grad[1:], texture.grad[1:]

    mine, truth = evaluated(bent_normal, torch.float32), evaluated(bent_normal_reference, torch.float64)
    assert type(bent_normal(*(x.requires_grad_() for x in arguments[:1]), *arguments[1:]).grad_fn).__name__ == (
        "_BentNormalBackward"
    )
    for a, b in zip(mine, truth, strict=True):
        assert float((a - b).abs().max()) < 1e-5 * max(1.0, float(b.abs().max()))


def test_finite_differences():
    normals, tangents, texture = (x[1:6].double() for x in points(2))
    function = lambda n, t: bent_normal_reference(n, tangents, t)  # noqa: E731
    assert torch.autograd.gradcheck(function, (normals.requires_grad_(), texture.requires_grad_()))
