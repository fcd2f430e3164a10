"""Splats trained with WGSL through the session: as good as on the processor, resumed, and when the device fails."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import DeviceLost
from engine.kernels.adapters import adapters
from engine.optimize.messages import Notice
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.stages import splats as stage
from engine.splats import webgpu_splatter
from tests.app.window.drawn_capture import draw_capture

TINY = ["splats.steps=40", "splats.start=300", "splats.budget=400", "splats.degree=1", "splats.degree_steps=10"]
TINY += ["splats.coarse=0.5", "splats.background=white", "run.evaluate=false", "run.checkpoint_seconds=1000"]
TINY += [f"splats.learning_rate{key}" for key in ("=0.002", "_color=0.02", "_scales=0.02")]  # 40 steps have to do
VARIANTS = {
    "gaussians by error": [],
    "exponentials by gradient": [
        *("splats.kind=exponential", "splats.density=classic", "splats.antialiased=true"),
        *("optimize.cameras=true", "optimize.intrinsics=true"),
    ],
    "discs by relocation": ["splats.kind=surface", "splats.density=relocation", "splats.distortion=10"],
}
pytestmark = pytest.mark.skipif(not adapters(), reason="no WebGPU adapter")


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return draw_capture(tmp_path_factory.mktemp("balls") / "balls", views=4, size=32)


def begun(capture, folder, device: str, *options: str) -> Session:
    return Session.create(capture, load_recipe("scene", [*TINY, *options]), folder, device)


def trained(session: Session, until: int = 40) -> list[float]:
    """The loss of every step up to `until`; the session stays open."""
    found = []
    while session.total_step < until:
        found.append(session.step().loss)
    return found


def splats_of(session: Session) -> list[bytes]:
    splats = session.context.scene.gaussians if session.stage is None else session.stage.splats.gaussians()
    return [array.tobytes() for array in splats.arrays().values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_training_is_as_good_as_on_the_processor(name, capture, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "INTERVAL", 10)  # so that splats are added, too
    losses, counts = {}, {}
    for device in ("webgpu", "cpu"):
        with begun(capture, tmp_path / device, device, *VARIANTS[name]) as session:
            session.step()
            assert session.stage.splatter.name == {"webgpu": "webgpu", "cpu": "numba"}[device]
            losses[device] = trained(session)
            counts[device] = len(session.context.scene.gaussians)
    assert np.mean(losses["webgpu"][-8:]) < 0.8 * np.mean(losses["webgpu"][:4])
    # density control decides by numbers that are rounded otherwise
    assert np.mean(losses["webgpu"][-8:]) == pytest.approx(np.mean(losses["cpu"][-8:]), rel=0.03)
    assert counts["webgpu"] == pytest.approx(counts["cpu"], rel=0.1) and counts["webgpu"] > 300


@pytest.mark.slow
def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(capture, tmp_path):
    with begun(capture, tmp_path / "whole", "webgpu") as session:
        trained(session, 39)
        expected = splats_of(session)
    with begun(capture, tmp_path / "parted", "webgpu") as session:
        trained(session, 25)
        session.checkpoint()
    with Session.open(tmp_path / "parted") as session:
        assert session.total_step == 25
        trained(session, 39)
        assert session.stage.splatter.name == "webgpu"
        assert splats_of(session) == expected


def test_where_the_device_fails_for_good_the_processor_goes_on(capture, tmp_path, monkeypatch):
    calls, recovering = [], webgpu_splatter.recovering

    def failing(work):
        calls.append(work)
        if len(calls) > 5:
            raise DeviceLost("the GPU is gone")
        return recovering(work)

    monkeypatch.setattr(webgpu_splatter, "recovering", failing)
    with begun(capture, tmp_path / "run", "webgpu", "splats.steps=6") as session:
        heard = []
        session.listen(heard.append)
        trained(session, 5)
        assert session.stage.splatter.name == "numba" and len(calls) == 6
        told = [message.text for message in heard if isinstance(message, Notice) and "the GPU is gone" in message.text]
        assert told == ["splats: the GPU is gone; went back to step 0, and from now on numba draws instead"]
        assert [entry.kind for entry in session.project.history] == ["device"]
        assert session.run()
