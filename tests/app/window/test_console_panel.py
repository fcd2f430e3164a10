"""The console on a real session: typed code, an endless loop, floods of output, calls between steps, the window."""

from __future__ import annotations

import builtins
import threading
import time

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from app.window.console_panel import ConsolePanel
from tests.app.window.conftest import wait_for
from tests.app.window.watchdog import slowness


class Typist:
    """Types into a console and waits for what comes."""

    def __init__(self, qtbot, panel) -> None:
        self.qtbot, self.panel = qtbot, panel
        self.field = panel.console._control
        self.running = 0  # the number of what does not end by itself

    @property
    def text(self) -> str:
        return self.field.toPlainText()

    @property
    def number(self) -> int:
        """Of the newest prompt; 0 while output follows it."""
        last = self.text.rstrip("\n").splitlines()[-1] if self.text.strip() else ""
        return int(last.split("[")[1].split("]")[0]) if last.startswith("In [") else 0

    def keys(self, text: str) -> None:
        self.qtbot.keyClicks(self.field, text)

    def enter(self, text: str) -> None:
        self.keys(text)
        self.qtbot.keyClick(self.field, Qt.Key.Key_Return)

    def run(self, text: str) -> str:
        """Type a line and wait for the next prompt; what came between."""
        before, number = len(self.text), self.number
        self.enter(text)
        wait_for(self.qtbot, lambda: self.number == number + 1)
        return self.text[before:]

    def loop(self, text: str) -> None:
        """Type a line that does not end by itself."""
        self.running = self.number
        self.enter(text)
        wait_for(self.qtbot, lambda: self.panel.console._executing or self.text.rstrip().endswith("...:"))
        if not self.panel.console._executing:  # a block waits for an empty line
            self.qtbot.keyClick(self.field, Qt.Key.Key_Return)
        wait_for(self.qtbot, lambda: self.panel._host.busy and self.panel._host.client.kernel.busy)


def shown(qtbot, studio) -> ConsolePanel:
    panel = ConsolePanel(studio)
    qtbot.addWidget(panel)
    panel.resize(900, 420)
    panel.show()
    wait_for(qtbot, lambda: panel.console is not None and "In [1]" in panel.console._control.toPlainText())
    return panel


@pytest.fixture
def console(qtbot, studio) -> Typist:
    """A console with nothing open."""
    return Typist(qtbot, shown(qtbot, studio))


@pytest.fixture
def running(qtbot, open_studio) -> Typist:
    """A console with a run that has begun and waits."""
    typist = Typist(qtbot, shown(qtbot, open_studio))
    open_studio.run_until(1)
    wait_for(qtbot, lambda: open_studio.state == "paused")
    return typist


def interrupted(console, qtbot) -> float:
    """Processor seconds, which an endless loop uses up, from a click on Interrupt to the next prompt."""
    button = console.panel.findChild(QPushButton, "console_interrupt")
    assert button.isEnabled()
    since = time.process_time()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: console.number == console.running + 1)
    return time.process_time() - since


def test_it_says_what_is_at_hand_and_shows_results_and_mistakes(console, shoot):
    assert "session, scene, capture, recipe, window" in console.text.splitlines()[0]
    assert console.text.index("In [1]") > console.text.index("turntable(")
    assert "Out[1]: 42" in console.run("6 * 7")
    assert "ZeroDivisionError" in console.run("1 / 0")
    assert "there is no run yet" in console.run("session")
    shoot(console.panel, "console_panel")


def test_tab_completes_names_and_the_history_comes_back(console, qtbot):
    console.run("wonderful_number = 3")
    console.keys("wonderf")
    qtbot.keyClick(console.field, Qt.Key.Key_Tab)
    wait_for(qtbot, lambda: console.text.endswith("wonderful_number"))
    qtbot.keyClick(console.field, Qt.Key.Key_Return)
    wait_for(qtbot, lambda: console.number == 3)
    qtbot.keyClick(console.field, Qt.Key.Key_Up)
    qtbot.keyClick(console.field, Qt.Key.Key_Up)
    assert console.text.endswith("wonderful_number = 3")


def test_an_endless_loop_is_interrupted_within_a_second_while_the_window_beats(console, qtbot, watchdog):
    watchdog.forgive()
    console.loop("while True: pass")
    qtbot.wait(300)
    assert interrupted(console, qtbot) < slowness()  # seconds
    assert "Interrupted" in console.text
    assert "Out[2]: 2" in console.run("1 + 1")  # the namespace and the thread live on


def test_endless_output_is_interrupted_with_ctrl_c_while_the_window_beats(console, qtbot, watchdog):
    console.loop("while True: print('all work and no play')")
    watchdog.forgive()
    qtbot.wait(500)
    since = time.process_time()
    qtbot.keyClick(console.field, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    wait_for(qtbot, lambda: console.number == 2)
    assert time.process_time() - since < slowness()  # seconds


def test_restart_leaves_behind_what_does_not_listen_to_interrupts(console, qtbot, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(builtins, "gate", gate, raising=False)
    console.run("precious = 1")
    console.loop("gate.wait()")
    qtbot.mouseClick(console.panel.findChild(QPushButton, "console_restart"), Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: console.number == 1)
    assert "NameError" in console.run("precious")
    gate.set()


def test_calls_run_between_steps_and_come_back_as_copies(running, open_studio, qtbot, shoot):
    assert "Out[1]: 1" in running.run("session.total_step")
    open_studio.run()
    wait_for(qtbot, lambda: open_studio.state == "running")
    running.run("mesh = None")
    running.run("steps = [call(lambda s: (s.total_step, s.index)) for _ in range(5)]")
    running.run("image = capture.pixels(0).color")
    running.run("kinds = type(image).__name__, image.shape, recipe.refine.ssim, len(capture.frames)")
    assert "('ndarray', (48, 48, 3), 0.1, 10)" in running.run("kinds")
    assert "Out[" in running.run("steps == sorted(steps)")
    assert running.text.count("True") >= 1
    running.run("pause()")
    assert open_studio.state in ("paused", "finished")
    assert "SceneSnapshot" in running.run("scene") or "nothing" in running.text
    shoot(running.panel, "console_panel_session")


def test_options_are_set_and_refused_in_words(running, open_studio, qtbot):
    running.run("recipe.refine.ssim = 0.25")
    assert "0.25" in running.run("recipe.refine.ssim")
    running.run("step(1)")
    assert open_studio.session.recipe.refine.ssim == 0.25
    assert "did you mean" in running.run("set_option('refine.sim', 1)")
    assert "cannot change" in running.run("set_option('run.seed', 4)")


def test_window_calls_reach_the_gui_thread(running, open_studio, tmp_path):
    running.run("window.look_through(2)")
    assert open_studio.view_frame == 2
    running.run("import threading")
    running.run("import PySide6.QtCore as Q")
    assert "'paused'" in running.run("window.state")
    running.run(f"window.screenshot({str(tmp_path / 'seen.png')!r})")
    assert (tmp_path / "seen.png").stat().st_size > 1000


def test_steps_and_runs_are_driven_from_the_console(running, open_studio):
    assert "total_step=3" in running.run("step(2)")
    assert "Out[" in running.run("run(until=6)")
    assert open_studio.session.total_step == 6 and open_studio.state == "paused"
    assert "UnrenderError" in running.run("session.total_step = 3")


def test_what_the_recipe_calls_is_copied(studio):
    from app.scripting.proxies import copied
    from engine.scene import Mesh

    mesh = Mesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))
    done, twin = copied(mesh)
    twin.vertices[:] = 1
    assert done and not mesh.vertices.any()
    assert copied(object())[0] is False


def test_close_asks_as_the_x_does_and_the_run_goes_on(window, open_studio, qtbot):
    window.enter_studio()
    window.docks.docks["console"].show()
    window.docks.docks["console"].raise_()
    panel = window.docks.panel("console")
    wait_for(qtbot, lambda: panel.console is not None and "In [1]" in panel.console._control.toPlainText())
    console = Typist(qtbot, panel)
    open_studio.run_until(1)
    wait_for(qtbot, lambda: open_studio.state == "paused")
    console.run("window.close()")
    wait_for(qtbot, lambda: window.question is not None)
    assert window.isVisible() and not open_studio.has_ended
    window.question.reject()
    assert "cannot reach window.shut_down" in console.run("window.shut_down()")
    assert "cannot reach window.engine" in console.run("window.engine.shut_down(False)")
    assert not {"shut_down", "engine"} & set(dir(panel._host._driver.window))
    open_studio.run_until(2)
    wait_for(qtbot, lambda: open_studio.state == "paused" and open_studio.session.total_step == 2)
