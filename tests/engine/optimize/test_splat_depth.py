"""Depth that photos carry makes splats' geometry better; the loss is what its formula says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.capture import CaptureOptions, open_capture
from engine.optimize.evaluate_splats import splat_renderer
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.splat_depth import DepthTarget, TrainingDepths, depth_loss
from engine.optimize.views import ViewSet
from tests.engine.optimize.splatted_capture import draw, wall

SHORT = ["splats.start=300", "splats.budget=400", "splats.degree=0", "run.evaluate=false"]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return open_capture(draw(tmp_path_factory.mktemp("deep") / "photos", wall(), None, depth=True), CaptureOptions())


def depth_error(session, capture) -> float:
    """Median relative error of the depth that held-out and training cameras see, where it is known."""
    renderer = splat_renderer(session.stage.splats.gaussians(), session.recipe.splats, capture)
    errors = []
    for index, frame in enumerate(capture.frames):
        image, true = renderer.image(frame.camera, depth=True), capture.depth(index)
        drawn = image.depth.numpy() / np.maximum(image.alpha.numpy(), 1e-6)
        errors.append(np.abs(drawn / np.where(true > 0, true, 1) - 1)[true > 0])
    return float(np.median(np.concatenate(errors)))


def trained(capture, out, weight: float, kind: str = "gaussian", steps: int = 120) -> Session:
    options = [*SHORT, f"splats.depth_weight={weight}", f"splats.kind={kind}", f"splats.steps={steps + 1}"]
    session = Session.create(capture, load_recipe("scene", options), out, "cpu")
    while session.total_step < steps:
        report = session.step()
    assert ("depth" in report.terms) == (weight > 0)
    return session


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gaussian", "surface"])
def test_depth_makes_the_geometry_better(capture, tmp_path, kind):
    default = load_recipe("scene", []).splats.depth_weight
    errors = []
    for weight in (0.0, default):
        session = trained(capture, tmp_path / str(weight), weight, kind)
        errors.append(depth_error(session, capture))
        session.close()
    assert default > 0 and errors[1] < 0.8 * errors[0], errors


def test_the_loss_is_of_inverse_depths_in_the_photo_s_unit():
    target = torch.tensor([[2.0, 4.0, 0.0, 4.0]])
    alpha = torch.tensor([[1.0, 0.5, 1.0, 0.01]])  # the last is too faint
    depth = alpha * torch.tensor([[2.0, 2.0, 9.0, 1.0]])
    expected = 4.0 * abs(1 / 2 - 1 / 4) * 0.5 / 3  # the second alone differs; three pixels are known
    assert float(depth_loss(depth, alpha, DepthTarget.of(target))) == pytest.approx(expected)
    tripled = depth_loss(3 * depth, alpha, DepthTarget.of(3 * target))  # another unit of the capture
    assert float(tripled) == pytest.approx(expected)
    assert float(depth_loss(depth, alpha, DepthTarget.of(torch.zeros(1, 4)))) == 0


def test_the_loss_has_the_gradient_of_finite_differences():
    random = np.random.default_rng(2)
    target = torch.from_numpy(random.uniform(1, 3, (3, 4)))
    target[0, :2] = 0
    alpha = torch.from_numpy(random.uniform(0.3, 1, (3, 4)))
    depth = (alpha * torch.from_numpy(random.uniform(1, 3, (3, 4)))).requires_grad_()
    known = DepthTarget.of(target)
    assert torch.autograd.gradcheck(lambda d: depth_loss(d, alpha, known), depth)


def test_what_is_masked_out_or_not_there_does_not_count(capture):
    views = ViewSet(capture)
    view = views.view(capture.train[0], 24)
    photo = type("Photo", (), {"alpha": torch.ones(24, 24)})
    photo.alpha[:5] = 0
    depth = TrainingDepths(capture).of(view, photo)
    assert depth.inverse.shape == (24, 24) and (depth.inverse[:5] == 0).all()
    assert depth.known == (depth.inverse > 0).sum() > 0.3 * 24 * 19
    stored = capture.depth(capture.train[0])
    assert np.allclose(depth.usual / depth.inverse[5:][depth.inverse[5:] > 0].max(), stored[stored > 0].min(), rtol=0.1)
