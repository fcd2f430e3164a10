"""What draws the view: the choice, pictures that agree, and the fall-back when the device fails."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from app.window.draw_with import DRAW_WITH, SETTING, chosen_draw_with
from engine.optimize.preview import DISPLAYS
from tests.app.window.viewing import TIMEOUT, picture, refined, settle


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch):
    """Software drivers take the time they need, and photos that are scored meanwhile change no colours."""
    monkeypatch.setattr("app.window.viewport.drawer.PATIENCE", 600.0)
    monkeypatch.setattr("app.window.viewport.photo_scores.PhotoScoring._offer", lambda _: None)


def warnings(studio) -> list[str]:
    heard = []
    studio.message_received.connect(lambda message: heard.append(message.text) if message.level == "warning" else None)
    return heard


def test_a_software_driver_is_not_chosen_by_itself(qtbot, view):
    assert chosen_draw_with(view.studio.settings) == "automatic"
    from engine.kernels.adapters import adapters

    expected = "webgpu" if any(not adapter.software for adapter in adapters()) else "processor"
    assert view.model.thread._drawer.name == expected


def test_both_draw_the_same_picture(qtbot, view):
    view.model.set_shown("grid", False)
    view.model.set_shown("frusta_shown", False)
    for display in ("shaded", "quality"):
        assert display in DISPLAYS
        pictures = []
        for choice in ("processor", "webgpu"):
            view.model.set_display(display)
            view.model.set_draw_with(choice)
            settle(qtbot, view)
            assert view.model.thread._drawer.name == choice
            pictures.append(picture(view))
        apart = np.abs(pictures[0] - pictures[1])
        assert apart.mean() < 0.1 and pictures[0].std() > 10
        column, row = view.model.pixel(view.width() / 2, view.height() / 2)
        values = view.model.drawn.image.at(column, row)
        assert np.allclose(values.base_color, (0.6, 0.25, 0.08), atol=1e-3) and abs(values.roughness - 0.6) < 1e-3


def test_grid_and_cameras_are_drawn_with_depth(qtbot, view, shoot):
    model, pictures = view.model, {}
    for choice in ("processor", "webgpu"):
        model.set_draw_with(choice)
        settle(qtbot, view)
        assert model.has_lines == (choice == "webgpu")
        pictures[choice] = picture(view)
        shoot(view, f"viewport_{choice}")
    assert np.abs(pictures["webgpu"] - pictures["processor"]).mean() < 2
    with_both = model.drawn.image.rgba
    model.set_shown("grid", False)
    settle(qtbot, view)
    only_cameras = model.drawn.image.rgba
    assert (with_both != only_cameras).any(-1).mean() > 0.01
    before = time.perf_counter()
    view.studio.scores.update(dict.fromkeys(range(10), 40.0))  # photos that are met well turn green
    view.studio.scores_changed.emit(view.studio.scores)
    refined(qtbot, view, before)
    assert (model.drawn.image.rgba != only_cameras).any()
    model.set_shown("frusta_shown", False)
    settle(qtbot, view)
    assert not model.has_lines


def test_a_lost_device_is_replaced_by_the_processor_with_one_notice(qtbot, view):
    heard = warnings(view.studio)
    view.model.set_draw_with("webgpu")
    settle(qtbot, view)
    before = picture(view)
    view.model.thread._drawer._device.gpu.destroy()
    for _ in range(2):
        settle(qtbot, view)
    assert view.model.thread._drawer.name == "processor" and not view.model.drawn.problem
    assert np.abs(picture(view) - before).mean() < 2  # lines are drawn by Qt now
    qtbot.waitUntil(lambda: bool(heard), timeout=TIMEOUT)
    assert len(heard) == 1 and "processor" in heard[0] and "WebGPU failed" in heard[0]
    view.model.set_draw_with("webgpu")  # chosen anew, it is tried anew
    settle(qtbot, view)
    assert view.model.thread._drawer.name == "webgpu" and len(heard) == 1


def test_without_an_adapter_the_processor_draws_and_a_wish_for_webgpu_is_answered(qtbot, view, monkeypatch):
    import engine.kernels.adapters as listing

    monkeypatch.setattr(listing, "_adapters", lambda: ())
    heard = warnings(view.studio)
    view.model.set_draw_with("automatic")
    settle(qtbot, view)
    assert view.model.thread._drawer.name == "processor" and not heard
    view.model.set_draw_with("webgpu")
    settle(qtbot, view)
    assert view.model.thread._drawer.name == "processor" and not view.model.drawn.problem
    qtbot.waitUntil(lambda: bool(heard), timeout=TIMEOUT)
    assert len(heard) == 1 and "no WebGPU adapter" in heard[0]


def test_the_menu_chooses_and_remembers(qtbot, studio):
    from app.window.main_window import MainWindow

    window = MainWindow(studio)
    qtbot.addWidget(window)
    actions = {name: window.findChild(QAction, f"draw_with_{name}") for name in DRAW_WITH}
    assert actions["automatic"].isChecked() and all(action.toolTip() for action in actions.values())
    actions["processor"].trigger()
    assert studio.settings.value(SETTING) == "processor" and chosen_draw_with(studio.settings) == "processor"
    assert actions["processor"].isChecked() and not actions["automatic"].isChecked()
    window.close_without_asking()
    window._take_viewport(QWidget)  # as one that comes late
    assert window.workspace.viewport is None


def test_a_graphics_card_is_chosen_by_itself_and_given_up_where_it_does_not_open(qtbot, view, monkeypatch):
    import engine.kernels.adapters as listing
    import engine.kernels.webgpu as webgpu

    cards = tuple(replace(adapter, kind="discrete") for adapter in listing.adapters())
    monkeypatch.setattr(listing, "_adapters", lambda: cards)
    heard = warnings(view.studio)
    view.model.set_draw_with("automatic")
    settle(qtbot, view)
    assert view.model.thread._drawer.name == "webgpu" and not heard

    def refused(*_):
        raise RuntimeError("the driver is out of order")

    monkeypatch.setattr(webgpu.Gpu, "__init__", refused)
    view.model.set_draw_with("automatic")
    for _ in range(2):
        settle(qtbot, view)
    assert view.model.thread._drawer.name == "processor" and not view.model.drawn.problem
    qtbot.waitUntil(lambda: bool(heard), timeout=TIMEOUT)
    assert len(heard) == 1 and "out of order" in heard[0]
