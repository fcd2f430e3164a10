"""Stages shape and refine with stochastic gradients on a small capture, and what their gradient is made of."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch

from engine.optimize.messages import StepReport
from engine.optimize.session import Session
from engine.optimize.stages.stochastic_view import tangents
from tests.engine.optimize.test_stages import BallCapture, create, result, same

OPTIONS = {
    "stages": "hull,shape,mesh,refine",
    "optimize.gradient": "stochastic",
    "optimize.eps_end": 0.2,
    "shape.steps": 48,
    "shape.mask_steps": 16,
    "shape.resolution": 16,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[dict[str, np.ndarray], list[StepReport]]:
    """(what an uninterrupted run leaves in the scene, its step reports)."""
    reports = []
    with create(tmp_path_factory.mktemp("whole") / "run", **OPTIONS) as session:
        assert session.run(lambda m: reports.append(m) if isinstance(m, StepReport) else None)
        return result(session), reports


def test_the_surface_comes_nearer_to_the_ball_than_its_hull(whole, tmp_path):
    with create(tmp_path / "run", **(OPTIONS | {"shape.steps": 0, "refine.steps": 0})) as session:
        session.run()
        before = result(session)["mesh.vertices"]
    errors = [float(np.abs(np.linalg.norm(v, axis=1) - 1).mean()) for v in (before, whole[0]["mesh.vertices"])]
    assert errors[1] < 0.9 * errors[0], errors


def test_photos_are_matched_better_step_by_step(whole):
    for stage, gain in (("shape", 0.3), ("refine", 0.5)):
        found = [report.psnr for report in whole[1] if report.stage == stage and report.psnr is not None]
        assert np.mean(found[-8:]) > np.mean(found[:8]) + gain, (stage, found)


def test_stopping_and_threads_change_no_bit(whole, tmp_path):
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        with create(tmp_path / "run", **OPTIONS) as session:
            session.run(until=55)
        with Session.open(tmp_path / "run", device="cpu", capture=BallCapture()) as session:
            assert session.run() and same(result(session), whole[0])
    finally:
        numba.set_num_threads(threads)


def test_tangents_are_a_frame_around_any_normal():
    normals = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    normals[:2] = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    frame = torch.stack([normals, *tangents(normals)], 1)
    torch.testing.assert_close(frame @ frame.mT, torch.eye(3).expand(200, 3, 3), atol=1e-5, rtol=0)
    assert (torch.linalg.det(frame) > 0).all()
