"""Where WebGPU is lost for good a run goes on without it, unless the work is WGSL alone: then the error says so."""

from __future__ import annotations

import pytest
import torch

from engine.errors import DeviceLost, OnlyDeviceLost
from engine.optimize.messages import Failed, Notice
from engine.optimize.session import Session
from tests.engine.optimize.small_run import DrawStage, SmallCapture, SmallRecipe, StartStage, result, uninterrupted


@pytest.fixture
def session(tmp_path):
    recipe = SmallRecipe()
    recipe.draw.steps = 25
    with Session.create(SmallCapture(), recipe, tmp_path / "run", device="webgpu") as made:
        yield made


@pytest.mark.parametrize(("stage", "call"), [(StartStage, "begin"), (StartStage, "finish"), (DrawStage, "begin")])
def test_a_stage_begins_again_without_the_device(tmp_path, session, monkeypatch, stage, call):
    work = getattr(stage, call)

    def failing(self, *arguments):
        work(self, *arguments)
        if self.context.rasterizer.name == "webgpu":
            raise DeviceLost("the GPU is gone", ", or do this and that")

    monkeypatch.setattr(stage, call, failing)
    heard = []
    assert session.run(heard.append)
    told = [message.text for message in heard if isinstance(message, Notice)]
    assert told == [f"{stage.name}: the GPU is gone; went back to step 0, and from now on numba draws instead"]
    assert [(entry.kind, entry.value) for entry in session.project.history] == [("device", "numba")]
    assert torch.equal(result(session), uninterrupted(tmp_path / "whole", steps=25))


@pytest.mark.parametrize("call", ["begin", "step"])
def test_no_fall_back_is_promised_that_there_is_not(session, monkeypatch, call):
    def failing(*_):
        raise OnlyDeviceLost("the GPU is gone", ", or do this and that")

    monkeypatch.setattr(DrawStage, call, failing)
    heard = []
    with pytest.raises(OnlyDeviceLost, match="^the GPU is gone, or do this and that$"):
        session.run(heard.append)
    assert [message.text for message in heard if isinstance(message, Notice)] == [] and isinstance(heard[-1], Failed)
    assert session.device.rasterizer == session.context.rasterizer.name == "webgpu"
