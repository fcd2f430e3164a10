"""Fixtures of the window's tests: a tiny capture, a studio, a window, a watchdog, pictures to look at."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt looks for a display

import pytest  # noqa: E402
import shiboken6  # noqa: E402
from PySide6.QtCore import QSettings  # noqa: E402
from PySide6.QtWidgets import QWidget  # noqa: E402
from pytestqt.qt_compat import qt_api  # noqa: E402

from engine.optimize.options import set_option  # noqa: E402
from tests.app.window.drawn_capture import RECIPE, draw_capture  # noqa: E402
from tests.app.window.viewing import empty_view, view  # noqa: E402, F401
from tests.app.window.watchdog import Watchdog  # noqa: E402

PICTURES = Path(__file__).parent / "screenshots"  # not part of the repository: for a person to look at


SECONDS = 600.0  # to wait for what must come: kernels may have to be compiled first, on any machine, under any load


def wait_for(qtbot, condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Let the event loop run until `condition` holds."""
    qtbot.waitUntil(lambda: bool(condition()), timeout=int(1000 * seconds))


def own_threads() -> list[str]:
    """Names of the threads that the window started and that still live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("unrender")]


@pytest.fixture(scope="session", autouse=True)
def garbage(qapp):
    """Collects on this thread only, as the window does: the watchdog's thread must not delete Qt objects."""
    from app.window.garbage import GuiGarbage

    made = GuiGarbage()
    yield made
    made.stop()


@pytest.fixture
def no_collector(garbage):
    """What holds itself stays: only what nothing holds dies."""
    garbage._timer.stop()
    yield
    garbage._timer.start()


@pytest.fixture(scope="session")
def tiny_capture(tmp_path_factory) -> Path:
    """Ten masked photos of 48 px; never to be changed."""
    return draw_capture(tmp_path_factory.mktemp("drawn") / "balls")


@pytest.fixture
def settings(tmp_path) -> QSettings:
    """Settings in a file of this test; new projects go beside it."""
    made = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    made.setValue("projects/folder", str(tmp_path / "projects"))
    made.setValue("engine/prepare_kernels", False)  # a child process would compile them; tests find them or do
    return made


@pytest.fixture
def studio(qtbot, settings):
    """A studio with nothing open."""
    from app.window.studio import Studio

    made = Studio(settings)
    made.problems = []  # what went to `failed`: (sentence, details)
    made.failed.connect(lambda sentence, details: made.problems.append((sentence, details)))
    for key, value in RECIPE.items():
        set_option(made.recipe, key, value)
    yield made
    made.close()
    until = time.monotonic() + SECONDS
    while own_threads() and time.monotonic() < until:
        qtbot.wait(10)  # a window that closes ends its view's thread from the event loop
    assert not own_threads()


@pytest.fixture
def open_studio(studio, qtbot, tiny_capture):
    """A studio with the tiny capture open, ready to run."""
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready" and studio.doctor is not None)
    return studio


@pytest.fixture
def shown(qtbot) -> Callable[..., QWidget]:
    """`shown(widget, width, height)` shows a widget of that size until the test ends, and returns it."""

    def show(widget: QWidget, width: int, height: int) -> QWidget:
        qtbot.addWidget(widget)
        widget.resize(width, height)
        widget.show()
        qtbot.waitExposed(widget)
        return widget

    return show


@pytest.fixture
def window(qtbot, studio):
    """The main window on `studio`, shown, with every panel made."""
    from app.window.main_window import MainWindow

    made = MainWindow(studio)
    made.resize(1400, 900)
    with qtbot.waitExposed(made, timeout=600000):
        made.show()
    made.activateWindow()  # keys go to the active window
    wait_for(qtbot, lambda: made.is_ready)
    yield made
    made.close_without_asking()
    qtbot.wait(10)
    shiboken6.delete(made)


@pytest.fixture
def watchdog(qtbot, monkeypatch):
    """Fails the test where the event loop was held for more than 100 ms; `forgive()` after a first painting.

    What the test itself does is not watched, nor how long the garbage of all tests before it takes to look through.
    """
    dog = Watchdog(patient=True)

    def watched(function: Callable) -> Callable:
        def inside(*arguments, **named):
            dog.enter()
            try:
                return function(*arguments, **named)
            finally:
                dog.leave()

        return inside

    def collecting(_phase: str, about: dict) -> None:
        if about["generation"] == 2:
            dog.skip()

    dog.enter()
    dog.leave()
    for name in ("mouseClick", "mousePress", "mouseRelease", "mouseMove", "keyClick", "keyClicks", "keyPress"):
        monkeypatch.setattr(qtbot, name, watched(getattr(qtbot, name)))
    monkeypatch.setattr(qt_api, "exec", watched(qt_api.exec))  # in which qtbot waits
    gc.callbacks.append(collecting)
    yield dog
    gc.callbacks.remove(collecting)
    dog.stop()
    assert not dog.late, "\n\n".join(dog.late)


@pytest.fixture
def shoot() -> Callable[..., Path]:
    """`shoot(widget, name)` writes a picture of a widget and returns its path."""

    def take(widget, name: str) -> Path:
        PICTURES.mkdir(exist_ok=True)
        path = PICTURES / f"{name}.png"
        assert widget.grab().save(str(path))
        return path

    return take
