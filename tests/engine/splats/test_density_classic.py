"""Density control by screen gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.scene.gaussians import KINDS
from engine.splats.channels import rotation_matrices
from engine.splats.contract import SplatImage
from engine.splats.density import density
from engine.splats.density.contract import DensityControl, DensityOptions
from engine.splats.density.growth import SHRINK
from engine.splats.parameters import SplatTensors
from tests.engine.splats.density_scenes import fake_moments, optimized, view
from tests.engine.splats.scenes import camera

ROUND = DensityOptions(100, extent=1.0, start=0, stop=1000, interval=1, split_scale=1.0, reset_interval=500)


def adapted(control: DensityControl, splats: SplatTensors, optimizer, gradients, step: int = 1, radius=0.0, seed=0):
    """What a round does after one view with such mean gradients [N] and radii (share of the image's larger side)."""
    gradients = torch.as_tensor(gradients, dtype=torch.float32)
    control._seen = {"gradient": gradients, "views": torch.ones(len(gradients)), "radius": torch.zeros(len(splats))}
    control._seen["radius"] += torch.as_tensor(radius)
    return control.adapt(step, splats, optimizer, torch.Generator().manual_seed(seed))


def test_gradients_are_in_halves_of_the_image_and_averaged_over_the_views_that_saw_the_splat():
    control = density("classic", ROUND)
    for size, slopes, radii in (
        ((40, 20), [[3e-4, 0], [0, 2e-4], [9, 9]], [4, 2, 0]),
        ((80, 20), [[0, 1e-4]] * 3, [0, 8, 0]),
    ):
        screen = torch.zeros(3, 2)
        screen.grad = torch.tensor(slopes)
        image = SplatImage(None, None, torch.tensor(radii, dtype=torch.int32), screen)
        control.observe(image, camera(*size))
    torch.testing.assert_close(control.scores(), torch.tensor([3e-4 * 20, (2e-4 * 10 + 1e-4 * 10) / 2, 0.0]))
    torch.testing.assert_close(control._seen["radius"], torch.tensor([0.1, 0.1, 0.0]))


def test_a_rendered_view_gives_gradients_to_what_it_sees():
    splats, optimizer = optimized(count=9)
    with torch.no_grad():
        splats.means[0, 1] = -40.0  # behind the camera
    control = density("classic", ROUND)
    image = view(splats, control, optimizer)
    assert torch.equal(control._seen["views"] > 0, image.radii > 0)
    assert float(control.scores()[0]) == 0
    assert bool((control.scores()[image.radii > 0] > 0).all())


def test_small_splats_are_cloned_with_all_of_their_opacity():
    splats, optimizer = optimized(count=5)
    logits = splats.logits.detach().clone()
    assert adapted(density("classic", ROUND), splats, optimizer, [0, 1e-3, 0, 1e-3, 1e-5]) == {"cloned": 2}
    assert torch.equal(splats.logits.detach(), torch.cat([logits, logits[[1, 3]]]))
    assert torch.equal(splats.means[[5, 6]], splats.means[[1, 3]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_splats_parts_lie_within_it_and_are_smaller(kind):
    count = 400
    splats, optimizer = optimized(kind, count, scale=(0.2, 0.6))
    before = {name: tensor.detach().clone() for name, tensor in splats.tensors().items()}
    along = 2 if kind == "surface" else 3
    control = density("classic", replace(ROUND, budget=1000, split_scale=0.1))
    assert adapted(control, splats, optimizer, torch.ones(count)) == {"split": count}
    assert len(splats) == 2 * count
    for name in ("rotations", "logits", "harmonics", "shapes"):
        if name in before:
            assert torch.equal(splats.tensors()[name].detach(), before[name].repeat_interleave(2, 0))
    shrink = before["log_scales"].repeat_interleave(2, 0) - splats.log_scales.detach()
    torch.testing.assert_close(shrink[:, :along].exp(), torch.full((2 * count, along), SHRINK))
    assert bool((shrink[:, along:] == 0).all())
    offset = splats.means.detach() - before["means"].repeat_interleave(2, 0)
    frame = rotation_matrices(before["rotations"]).repeat_interleave(2, 0)
    unit = (frame * offset[:, :, None]).sum(1) / before["log_scales"].exp().repeat_interleave(2, 0)
    torch.testing.assert_close(unit[:, :along].std(0), torch.ones(along), atol=0.1, rtol=0)
    torch.testing.assert_close(unit[:, :along].mean(0), torch.zeros(along), atol=0.12, rtol=0)
    if kind == "surface":
        assert float(offset.mul(frame[:, :, 2]).sum(1).abs().max()) < 1e-6  # within the disc's plane


def test_the_largest_gradients_grow_where_the_budget_is_tight():
    splats, optimizer = optimized(count=6)
    means = splats.means.detach().clone()
    control = density("classic", replace(ROUND, budget=8))
    assert adapted(control, splats, optimizer, [5e-3, 9e-3, 1e-3, 8e-3, 2e-3, 7e-3]) == {"cloned": 2}
    assert torch.equal(splats.means[6:].detach(), means[[1, 3]])


def test_the_faint_go_and_make_room():
    splats, optimizer = optimized(count=4)
    fake_moments(splats, optimizer)
    with torch.no_grad():
        splats.logits[1] = -6.0
    control = density("classic", replace(ROUND, budget=4))
    assert adapted(control, splats, optimizer, [0, 1, 1e-3, 0]) == {"cloned": 1, "pruned": 1}
    assert optimizer.state[splats.means]["exp_avg"][:, 0].tolist() == [1, 3, 4, 0]


def test_the_large_go_from_the_first_reset_on_unless_they_are_to_be_split():
    for step, done in ((499, {"split": 1}), (501, {"split": 1, "pruned": 2})):
        splats, optimizer = optimized(count=5, scale=(0.01, 0.02))
        with torch.no_grad():
            splats.log_scales[[1, 2], 1] = -0.7
        control = density("classic", replace(ROUND, split_scale=0.1))
        radius = torch.tensor([0, 0, 0, 0.2, 0.1])
        assert adapted(control, splats, optimizer, [0, 1, 0, 0, 0], step, radius) == done, step


def test_a_reset_lowers_opacities_and_forgets_their_moments():
    splats, optimizer = optimized(count=4)
    fake_moments(splats, optimizer)
    wanted = torch.tensor([0.9, 0.006, 0.01, 0.3])
    with torch.no_grad():
        splats.logits.copy_(torch.logit(wanted))
    assert adapted(density("classic", ROUND), splats, optimizer, torch.zeros(4), 500) == {"reset": 4}
    torch.testing.assert_close(torch.sigmoid(splats.logits.detach()), wanted.clamp(max=0.01))
    assert optimizer.state[splats.logits]["exp_avg"].tolist() == [0, 0, 0, 0]
    assert optimizer.state[splats.means]["exp_avg"][:, 0].tolist() == [1, 2, 3, 4]


def test_randomness_is_that_of_the_generator():
    results = []
    for seed in (0, 0, 1):
        splats, optimizer = optimized(count=5)
        adapted(density("classic", replace(ROUND, split_scale=0.01)), splats, optimizer, torch.ones(5), seed=seed)
        results.append(splats.means.detach().clone())
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
