"""The WGSL splatter against the float64 reference: the same images and gradients, on whatever adapter there is.

The scenes are those of test_numba_splatter.py, small since a software adapter is slow.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from engine.errors import DeviceError
from engine.kernels.adapters import adapters
from engine.kernels.webgpu import gpu
from engine.splats import splatter, webgpu_passes
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from engine.splats.webgpu_buffers import Buffers, Encoding
from engine.splats.webgpu_sort import RUNS, encode_sort, sort_passes
from engine.splats.webgpu_splatter import WebgpuSplatter
from tests.engine.splats.scenes import camera, compared, loss_of, rendered, scene
from tests.engine.splats.test_camera_motion import test_the_camera_has_a_gradient as check_camera
from tests.engine.splats.test_numba_splatter import ONE, mixed

VALUES = ("color", "alpha", "depth", "normal", "extra", "median_depth")
pytestmark = pytest.mark.skipif(not adapters(), reason="no WebGPU adapter")


compare = functools.partial(compared, "webgpu", VALUES)


def bits(image, gradients) -> list[bytes]:
    tensors = [getattr(image, name) for name in (*VALUES, "radii", "screen")] + list(gradients.values())
    return [tensor.detach().numpy().tobytes() for tensor in tensors if tensor is not None]


@pytest.mark.parametrize("name", ONE)
def test_images_and_gradients_are_those_of_the_reference(name):
    kind, options = ONE[name]
    extra = torch.from_numpy(np.random.default_rng(2).normal(size=(80, 2)))
    background = torch.tensor([0.2, 0.5, 0.7])
    given = SplatOptions(background=background, depth=True, extra=extra.float(), **options)
    compare(mixed(kind), given)


@pytest.mark.parametrize(("degree", "used"), [(0, None), (1, 0), (2, None), (3, None), (3, 2)])
def test_harmonics_of_every_degree(degree, used):
    compare(mixed("gaussian", degree), SplatOptions(degree=used))


@pytest.mark.parametrize("channels", [1, 6])
def test_any_number_of_channels(channels):
    extra = torch.from_numpy(np.random.default_rng(2).normal(size=(40, channels)))
    compare(scene("gaussian", 40), SplatOptions(extra=extra.float()))


@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
def test_deep_stacks_stop_where_the_reference_stops(kind):
    splats = scene(kind, 150, 0, seed=3, scale=(0.3, 0.6), spread=0.4)
    splats.logits[:] += 1.5
    compare(splats, SplatOptions(background=torch.ones(3)))


def test_long_and_thin_splats_keep_their_digits():
    splats = scene("gaussian", 100, seed=3)
    splats.log_scales[:] = np.log([[2.0, 0.002, 0.002]])
    compare(splats, SplatOptions(antialiased=True), camera(120, 90, 100.0), values=5e-5)


def test_what_is_not_a_number_is_not_seen_and_leaves_the_rest_alone():
    splats = scene("gaussian", 30)
    splats.means[0], splats.rotations[1], splats.log_scales[2], splats.logits[3] = np.nan, np.nan, np.nan, np.nan
    splats.log_scales[4] = np.inf
    splats.log_scales[5] = -np.inf
    splats.rotations[6] = 0
    image = compare(splats, SplatOptions())
    assert (image.radii[:7] > 0).tolist() == [False] * 5 + [True] * 2


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (100, 7), (33, 65)])
def test_images_of_any_size(size):
    compare(scene("gaussian", 40), SplatOptions(), camera(*size, focal=0.7 * max(size)))


def test_equal_depths_are_blended_by_index():
    splats = scene("gaussian", 60, 0)
    splats.means[:] = np.float32([0.1, 0.2, 0.3])
    compare(splats, SplatOptions())


@pytest.mark.parametrize("away", [False, True])
def test_nothing_to_be_seen(away):
    splats = scene("gaussian", 30).select(np.arange(30 if away else 0))
    splats.means[:] += np.float32([0, -100, 0])  # behind
    background = torch.tensor([0.2, 0.5, 0.7])
    tensors = SplatTensors.of(splats)
    tensors.means.requires_grad_()
    image = splatter("webgpu").render(tensors, camera(), SplatOptions(background=background, depth=True))
    assert torch.equal(image.color.detach(), background.expand(37, 53, 3))
    assert not image.alpha.detach().any() and not image.depth.detach().any() and not image.radii.any()
    loss_of(image).backward()
    assert tensors.means.grad is None or not tensors.means.grad.any()


def test_the_same_bits_again_and_with_other_views_between():
    options = SplatOptions(depth=True)
    splats = mixed("exponential")
    first = bits(*rendered("webgpu", splats, camera(), options, torch.float32))
    assert bits(*rendered("webgpu", splats, camera(), options, torch.float32)) == first
    drawing, tensors = WebgpuSplatter(), SplatTensors.of(splats)
    for leaf in tensors.tensors().values():
        leaf.requires_grad_()
    image = drawing.render(tensors, camera(), options)
    drawing.render(SplatTensors.of(scene("gaussian", 90)), camera(120, 90), SplatOptions())
    loss_of(image).backward()
    gradients = {name: leaf.grad for name, leaf in tensors.tensors().items()} | {"screen": image.screen.grad}
    assert bits(image, gradients) == first


def test_more_places_than_there_was_room_for(monkeypatch):
    splats = scene("gaussian", 40, scale=(0.5, 1.0))
    expected = bits(*rendered("webgpu", splats, camera(90, 70), SplatOptions(), torch.float32))
    monkeypatch.setattr(webgpu_passes, "LEAST_PLACES", 16)
    assert bits(*rendered("webgpu", splats, camera(90, 70), SplatOptions(), torch.float32)) == expected
    drawing = WebgpuSplatter()
    drawing.render(SplatTensors.of(splats), camera(90, 70))
    assert drawing._passes.capacity > 4 * 40


def test_the_camera_has_a_gradient():
    check_camera("webgpu")


def test_without_gradients_the_image_is_the_same():
    plain = splatter("webgpu").render(SplatTensors.of(mixed("gaussian")), camera(), SplatOptions())
    image, _ = rendered("webgpu", mixed("gaussian"), camera(), SplatOptions(), torch.float32)
    np.testing.assert_array_equal(plain.color, image.color.detach())
    assert not plain.screen.requires_grad


def test_a_lost_device_is_opened_again():
    drawing, tensors = WebgpuSplatter(), SplatTensors.of(scene("gaussian", 30))
    tensors.means.requires_grad_()
    image = drawing.render(tensors, camera())
    again = drawing.render(tensors, camera())
    gpu().destroy()
    loss_of(image).backward()
    first, tensors.means.grad = tensors.means.grad, None
    loss_of(again).backward()
    assert torch.equal(tensors.means.grad, first)


def test_what_it_cannot_draw_is_said(monkeypatch):
    drawing = WebgpuSplatter()
    with pytest.raises(DeviceError, match="float32"):
        drawing.render(SplatTensors.of(scene("gaussian", 3), torch.float64), camera())
    monkeypatch.setitem(gpu().limits, "max-storage-buffer-binding-size", 4096)
    with pytest.raises(DeviceError, match="fewer splats"):
        drawing.render(SplatTensors.of(scene("gaussian", 100)), camera())


@pytest.mark.parametrize(("count", "most"), [(0, 8), (1, 8), (777, 1000), (5000, 5000)])
def test_sorting_is_stable(count, most):
    random, buffers = np.random.default_rng(count), Buffers(gpu())
    keys = random.integers(0, 1 << 11, most).astype(np.uint32) << 3
    passes = sort_passes(most, 14, 1)
    amounts = buffers.filled("amounts", np.array([9, count], np.uint32))
    uniforms = buffers.uniforms([each.record() for each in passes])
    pairs = [(buffers.get(f"{name} a", 4 * most), buffers.get(f"{name} b", 4 * most)) for name in ("keys", "values")]
    buffers.filled("keys a", keys)
    work = Encoding(buffers)
    room = buffers.get("table", max(4 * each.length for each in passes)), buffers.get("runs", 4 * RUNS)
    encode_sort(work, passes, uniforms, amounts, *pairs, *room)
    work.gpu.submit(work.end_pass())
    order = np.argsort(keys[:count], kind="stable")
    np.testing.assert_array_equal(work.gpu.read(pairs[1][0], np.uint32, most)[:count], order)
    np.testing.assert_array_equal(work.gpu.read(pairs[0][0], np.uint32, most)[:count], keys[:count][order])
