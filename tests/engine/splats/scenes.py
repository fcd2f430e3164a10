"""Small random splat scenes and one loss that every image of a view enters."""

from __future__ import annotations

import numpy as np
import torch

from engine.scene.camera import Camera, look_at
from engine.scene.gaussians import Gaussians, Kind
from engine.splats import splatter
from engine.splats.contract import SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors


def camera(width: int = 53, height: int = 37, focal: float = 40.0) -> Camera:
    """Three units from the origin; no whole number of tiles, and neither square pixels nor a centred axis."""
    view = look_at(np.array([0.3, -3.0, 1.0]), np.zeros(3), np.array([0.0, 0, 1]), focal, width, height)
    return Camera(
        view.world_from_camera, (focal, 1.1 * focal), (0.48 * width + 0.013, 0.53 * height + 0.017), width, height
    )


def scene(kind: Kind, count: int, degree: int = 1, seed: int = 0, scale=(0.05, 0.3), spread: float = 1.0) -> Gaussians:
    """`count` splats around the origin, with quaternions of any length, opacities about a half and bright colours."""
    random = np.random.default_rng(seed)
    harmonics = random.normal(0, 0.3, (count, (degree + 1) ** 2, 3))
    return Gaussians(
        random.uniform(-spread, spread, (count, 3)).astype(np.float32),
        (random.normal(size=(count, 4)) * random.uniform(0.5, 2, (count, 1))).astype(np.float32),
        np.log(random.uniform(*scale, (count, 3))).astype(np.float32),
        random.normal(size=count).astype(np.float32),
        harmonics.astype(np.float32),
        kind,
        random.uniform(0.8, 4, count).astype(np.float32) if kind == "exponential" else None,
    )


def loss_of(view: SplatImage, seed: int = 1) -> torch.Tensor:
    """The sum of all images that have gradients, each pixel and channel with a random weight."""
    random = np.random.default_rng(seed)
    total = 0.0
    for name in ("color", "alpha", "depth", "normal", "extra", "distortion"):
        image = getattr(view, name)
        if image is not None:
            weights = torch.from_numpy(random.normal(size=tuple(image.shape))).to(image)
            total = total + (image * weights).sum()
    return total


def rendered(
    name: str, splats: Gaussians, view: Camera, options: SplatOptions, dtype: torch.dtype
) -> tuple[SplatImage, dict[str, torch.Tensor]]:
    """The view of the implementation called `name`, and the gradient of `loss_of` to each parameter, and to the rest.

    `screen` is that of the projected means, `extra` and `background` those of the options.
    """
    tensors = SplatTensors.of(splats, dtype)
    leaves = tensors.tensors()
    given = {key: getattr(options, key) for key in ("extra", "background")}
    leaves |= {key: value.to(dtype).clone() for key, value in given.items() if value is not None}
    for leaf in leaves.values():
        leaf.requires_grad_()
    options = SplatOptions(
        **{**vars(options), **{key: leaves[key] for key in ("extra", "background") if key in leaves}}
    )
    image = splatter(name).render(tensors, view, options)
    loss_of(image).backward()
    gradients = {key: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for key, leaf in leaves.items()}
    return image, gradients | {"screen": image.screen.grad}


def compared(
    implementation: str,
    images: tuple[str, ...],
    splats: Gaussians,
    options: SplatOptions,
    view=None,
    values: float = 2e-5,
    gradients: float = 1e-4,
):
    """Assert that `images` are the reference's to `values`, gradients to `gradients` of their norm; what was drawn.

    Median depth may jump in one pixel of a thousand.
    """
    view = camera() if view is None else view
    ours, d_ours = rendered(implementation, splats, view, options, torch.float32)
    truth, d_truth = rendered("reference", splats, view, options, torch.float64)
    for name in images:
        image, expected = getattr(ours, name), getattr(truth, name)
        assert (image is None) == (expected is None), name
        if image is not None:
            scale = max(float(expected.detach().abs().max()), 1.0)
            wrong = (image.double() - expected).detach().abs() > values * scale
            jumps = 0.001 if name == "median_depth" else 0  # it does, where rounding carries a pixel over a half
            assert float(wrong.float().mean()) <= jumps, name
    np.testing.assert_array_equal(ours.radii, truth.radii)
    torch.testing.assert_close(ours.screen.detach().double(), truth.screen.detach(), atol=1e-4, rtol=1e-5)
    assert d_ours.keys() == d_truth.keys()
    for name, expected in d_truth.items():
        error = float((d_ours[name].double() - expected).norm())
        assert error <= gradients * float(expected.norm()), (name, error, float(expected.norm()))
    return ours


def deep_discs() -> Gaussians:
    """So many opaque discs behind one another that few reach the end of transmittance."""
    splats = scene("surface", 150, 0, seed=3, scale=(0.3, 0.6), spread=0.4)
    splats.logits[:] += 1.5
    return splats


def layered_discs() -> Gaussians:
    """A thin layer of discs that all face the camera, far away for its thickness."""
    splats = scene("surface", 60, 0, seed=4, scale=(0.2, 0.5), spread=0.5)
    splats.means[:] *= np.array([1, 0.01, 1], np.float32)
    splats.rotations[:] = np.array([np.sqrt(0.5), np.sqrt(0.5), 0, 0], np.float32)
    return splats


def check_distortion(name: str) -> None:
    """Assert that a splatter keeps the digits of the small distortion of `layered_discs`."""
    options = SplatOptions(depth=True)
    image = splatter(name).render(SplatTensors.of(layered_discs()), camera(), options)
    truth = splatter("reference").render(SplatTensors.of(layered_discs(), torch.float64), camera(), options)
    error = (image.distortion.double() - truth.distortion).abs().max()
    assert 0 < float(truth.distortion.max()) < 1e-2
    assert float(error) < 2e-3 * float(truth.distortion.max())
