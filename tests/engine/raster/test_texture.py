"""Texture look-up: the reference against hand-made cases and finite differences, numba against the reference."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch

from engine.raster.texture import build_pyramid, level_sizes, texture_numba, texture_nvdiffrast, texture_reference


def random_case(height=16, width=32, channels=5, points=400, seed=0):
    """A texture, points partly outside [0,1], and levels partly outside the pyramid."""
    random = np.random.default_rng(seed)
    texture = torch.tensor(random.normal(size=(height, width, channels)), dtype=torch.float32)
    uv = torch.tensor(random.uniform(-0.1, 1.1, size=(points, 2)), dtype=torch.float32)
    level = torch.tensor(random.uniform(-1.0, 6.0, size=points), dtype=torch.float32)
    level[::7] = torch.round(level[::7])
    return texture, uv, level


def test_texel_centres_return_texels_and_borders_clamp():
    texture = torch.arange(12.0, dtype=torch.float64).reshape(3, 4, 1)
    y, x = torch.meshgrid(torch.arange(3.0).double(), torch.arange(4.0).double(), indexing="ij")
    uv = torch.stack([(x + 0.5) / 4, (y + 0.5) / 3], -1).reshape(-1, 2)
    assert torch.allclose(texture_reference([texture], uv)[:, 0], texture.reshape(-1))
    outside = torch.tensor([[-3.0, -3.0], [9.0, 9.0]], dtype=torch.float64)
    assert texture_reference([texture], outside)[:, 0].tolist() == [0.0, 11.0]


def test_levels_are_box_averages_down_to_one_texel():
    texture = torch.rand(8, 2, 3, dtype=torch.float64)
    pyramid = build_pyramid(texture)
    assert [tuple(level.shape[:2]) for level in pyramid] == [(8, 2), (4, 1), (2, 1), (1, 1)]
    assert torch.allclose(pyramid[1][0, 0], texture[:2].mean((0, 1)))
    assert torch.allclose(pyramid[-1][0, 0], texture.mean((0, 1)))
    for fast, slow in zip(build_pyramid(texture.float()), pyramid, strict=True):
        assert torch.allclose(fast, slow.float(), atol=1e-6)


def test_odd_sides_end_the_chain_and_are_refused_when_asked_for():
    assert level_sizes(12, 6) == [(12, 6), (6, 3)]
    assert len(build_pyramid(torch.zeros(5, 8, 1))) == 1
    with pytest.raises(ValueError, match="power-of-two"):
        build_pyramid(torch.zeros(5, 8, 1), levels=2)


def test_reference_gradients_agree_with_finite_differences():
    texture, uv, level = random_case(4, 8, 2, 12)
    texture, uv = texture.double().requires_grad_(), uv.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda t, p: texture_reference(build_pyramid(t), p, level.double()), (texture, uv))


@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("mip", [False, True])
def test_numba_agrees_with_reference_in_values_and_gradients(channels, mip):
    texture, uv, level = random_case(channels=channels)
    weight = torch.rand(len(uv), channels, generator=torch.Generator().manual_seed(1))
    found = {}
    for name, look_up, dtype in (("slow", texture_reference, torch.float64), ("fast", texture_numba, torch.float32)):
        t, p = texture.to(dtype).requires_grad_(), uv.to(dtype).requires_grad_()
        value = look_up(build_pyramid(t), p, level.to(dtype) if mip else None)
        (value * weight).sum().backward()
        found[name] = (value.detach(), t.grad, p.grad)
    for fast, slow, tolerance in zip(found["fast"], found["slow"], (1e-5, 2e-5, 2e-3), strict=True):
        assert torch.allclose(fast.double(), slow, atol=tolerance, rtol=1e-4)


def test_gradients_reach_plain_lists_of_levels():
    texture, uv, level = random_case()
    grads = []
    for look_up, dtype in ((texture_reference, torch.float64), (texture_numba, torch.float32)):
        levels = [values.detach().clone().to(dtype).requires_grad_() for values in build_pyramid(texture)]
        look_up(levels, uv.to(dtype), level.to(dtype)).square().sum().backward()
        grads.append([values.grad for values in levels])
    for slow, fast in zip(*grads, strict=True):
        assert torch.allclose(slow.float(), fast, atol=1e-4)


def test_many_look_ups_of_one_pyramid_sum_their_gradients():
    texture, uv, level = random_case()

    def gradient(look_up, dtype):
        t = texture.to(dtype, copy=True).requires_grad_()
        pyramid = build_pyramid(t)
        views = [look_up(pyramid, uv[i::3].to(dtype), level[i::3].to(dtype)).square().sum() for i in range(3)]
        (sum(views) + pyramid[2].square().sum() + pyramid[0].sum()).backward()
        return t.grad

    slow = gradient(texture_reference, torch.float64)
    assert torch.allclose(gradient(texture_numba, torch.float32).double(), slow, atol=1e-4)


def test_an_unfinished_backward_pass_leaves_nothing_behind():
    texture, uv, level = random_case()
    texture.requires_grad_()
    uv.requires_grad_()
    value = texture_numba(build_pyramid(texture), uv, level).square().sum()
    torch.autograd.grad(value, uv, retain_graph=True)  # scatters, but never reaches the texture
    (first,) = torch.autograd.grad(value, texture, retain_graph=True)
    (second,) = torch.autograd.grad(value, texture)
    clean = texture_numba(build_pyramid(texture), uv, level).square().sum()
    (expected,) = torch.autograd.grad(clean, texture)
    assert torch.equal(first, expected) and torch.equal(second, expected)


def test_gradients_have_the_same_bits_whatever_the_thread_count():
    texture, uv, level = random_case(64, 64, 8, 5000)
    threads, found = numba.get_num_threads(), []
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            t, p = texture.clone().requires_grad_(), uv.clone().requires_grad_()
            value = texture_numba(build_pyramid(t), p, level)
            value.square().sum().backward()
            found.append((value.detach(), t.grad, p.grad))
    finally:
        numba.set_num_threads(threads)
    for one, many in zip(*found, strict=True):
        assert torch.equal(one, many)


def test_no_points_and_non_finite_coordinates_are_harmless():
    texture, uv, level = random_case(points=6)
    pyramid = build_pyramid(texture)
    assert texture_numba(pyramid, uv[:0], level[:0]).shape == (0, 5)
    uv[0], uv[1], level[2] = float("nan"), float("inf"), float("nan")
    assert torch.isfinite(texture_numba(pyramid, uv, level)[1:]).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="nvdiffrast needs CUDA")
def test_nvdiffrast_agrees_with_reference():
    pytest.importorskip("nvdiffrast.torch")
    texture, uv, level = random_case(16, 16)
    found = []
    for look_up in (texture_reference, texture_nvdiffrast):
        t, p = texture.cuda().requires_grad_(), uv.cuda().requires_grad_()
        value = look_up(build_pyramid(t), p, level.cuda())
        value.square().sum().backward()
        found.append((value.detach(), t.grad, p.grad))
    for slow, fast in zip(*found, strict=True):
        assert torch.allclose(slow, fast, atol=2e-2, rtol=1e-2)
