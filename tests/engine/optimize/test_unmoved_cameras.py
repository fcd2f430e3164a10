"""Stages that move no cameras say so where cameras are to be moved."""

from __future__ import annotations

import pytest

from engine.device import Device
from engine.optimize.messages import Notice
from engine.optimize.recipe import load_recipe
from engine.optimize.scene_state import SceneState
from engine.optimize.stage import StageContext
from engine.optimize.stages.blackbox import BlackBoxStage
from engine.optimize.stages.subdivision import SubdivisionStage
from tests.engine.optimize.test_stages import create

SAID = "optimize.cameras has no effect on stage {}: only shape, refine and splats move cameras"


@pytest.mark.parametrize("wanted", [True, False])
def test_volume_and_stereo_say_that_cameras_stay(tmp_path, wanted):
    options = {"stages": "hull,volume,stereo", "volume.steps": 2, "optimize.cameras": wanted, "hull.resolution": 16}
    heard = []
    with create(tmp_path / "run", **options) as session:
        session.run(lambda message: heard.append(message.text) if isinstance(message, Notice) else None)
    for name in ("volume", "stereo"):
        assert (SAID.format(name) in heard) is wanted


@pytest.mark.parametrize("stage", [BlackBoxStage, SubdivisionStage])
@pytest.mark.parametrize("wanted", [True, False])
def test_stages_of_black_box_shadings_say_that_cameras_stay(stage, wanted, monkeypatch):
    for name in ("take_scene", "_loop"):
        monkeypatch.setattr(stage, name, lambda *_: None)
    heard = []
    recipe = load_recipe("toon", [f"optimize.cameras={str(wanted).lower()}"])
    context = StageContext(recipe, None, None, SceneState(), None, Device("cpu", "numba"), notify=heard.append)
    stage().begin(context)
    assert ([message.text for message in heard] == [SAID.format(stage.name)]) is wanted
