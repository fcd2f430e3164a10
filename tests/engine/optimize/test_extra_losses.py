"""Loss terms of scripts: their value and gradient, and what happens to those that fail."""

from __future__ import annotations

import pytest
import torch

from engine.errors import RecipeError
from engine.optimize.extra_losses import ExtraLosses
from engine.optimize.views import View
from engine.scene.camera import look_at


def view(height: int = 6, width: int = 8, seed: int = 1) -> View:
    generator = torch.Generator().manual_seed(seed)
    camera = look_at([3.0, 0, 0], [0.0, 0, 0], [0.0, 0, 1], 8.0, width, height)
    return View(0, camera, torch.rand(height, width, 3, generator=generator), torch.ones(height, width))


def test_a_term_counts_with_its_weight_and_gradient():
    losses = ExtraLosses()
    losses.add("square", lambda image, photo: ((image - photo) ** 2).mean(), 3.0)
    views = [view(seed=1), view(seed=2)]
    images = [torch.rand(6, 8, 4, requires_grad=True) for _ in views]
    total, terms = losses.of(images, views)
    photos = [torch.cat([v.premultiplied, v.alpha[..., None]], 2) for v in views]
    expected = 3 * sum(((image - photo) ** 2).mean() for image, photo in zip(images, photos, strict=True)) / 2
    assert torch.allclose(total, expected) and terms["square"] == pytest.approx(float(expected.detach()))
    found = torch.autograd.grad(total, images)
    wanted = torch.autograd.grad(expected, images)
    assert all(torch.allclose(a, b) for a, b in zip(found, wanted, strict=True))


def test_what_fails_is_dropped_with_a_notice():
    said = []
    losses = ExtraLosses(said.append)
    losses.add("raises", lambda image, photo: image.nothing, 1.0)
    losses.add("endless", lambda image, photo: (image.sum() * 0).sqrt(), 1.0)  # its gradient is not finite
    losses.add("shape", lambda image, photo: image, 1.0)
    losses.add("good", lambda image, photo: image.mean(), 1.0)
    _, terms = losses.of([torch.rand(6, 8, 4, requires_grad=True)], [view()])
    assert losses.names == ("good",) == tuple(terms)
    assert [text.split()[1] for text in said] == ["raises", "endless", "shape"]


def test_images_of_alpha_alone_have_no_such_terms():
    losses = ExtraLosses()
    losses.add("good", lambda image, photo: image.mean(), 1.0)
    total, terms = losses.of([torch.rand(6, 8, 1)], [view()])
    assert float(total) == 0 and terms == {}


def test_names_that_stages_use_are_refused():
    losses = ExtraLosses()
    with pytest.raises(RecipeError, match="choose another name"):
        losses.add("psnr", lambda image, photo: image.mean(), 1.0)
    with pytest.raises(RecipeError, match="none"):
        losses.remove("gone")
