"""The monkey's hand: random events in the studio window, and a witness of what goes wrong; see monkey.py."""

from __future__ import annotations

import random
import sys
import threading
import time
import traceback
from collections import Counter, deque
from pathlib import Path

import shiboken6
from PySide6.QtCore import QPoint, QPointF, Qt, QTimer, qInstallMessageHandler
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QMenu,
    QTabBar,
    QWidget,
)

from tests.app.window.watchdog import Watchdog
from tests.tools.memory import allocated, resident

LEFT = Qt.MouseButton.LeftButton
LEFT_ALONE = {"file_quit", "goal_best", "preset_best"}  # object names
IDLE = 4  # events without training after which it goes on
SIZES = ((1000, 700), (1400, 900))
VIEW_KEYS = "wasdqe1379fhgtr[]"
LINES = ("6 * 7", "session", "scene", "recipe", "window", "1 / 0", "len(capture.frames)", "while True: pass")
WEIGHTS = {
    "click": 26,
    "view": 20,
    "choose": 8,
    "row": 8,
    "option": 9,
    "photo": 5,
    "control": 6,
    "tab": 6,
    "menu": 5,
    "type": 2,
    "theme": 2,
    "resize": 3,
}
# what the offscreen platform cannot do, and QtTest's word on a press beside a menu entry that is scrolled out of sight
NOT_OURS = "plugin does not support", "not accepted by receiving widget"


class Witness:
    """Hears of everything that goes wrong, whichever way it is said."""

    def __init__(self, recent: deque[str]) -> None:
        self.exceptions: list[str] = []
        self.refusals: Counter[str] = Counter()
        self._recent = recent
        sys.excepthook = lambda kind, error, trace: self.add(traceback.format_exception(kind, error, trace))
        sys.unraisablehook = lambda args: self.add(traceback.format_exception(args.exc_value))
        threading.excepthook = lambda args: self.add(traceback.format_exception(args.exc_value))
        qInstallMessageHandler(self._qt)

    def add(self, lines: list[str]) -> None:
        """Note what was raised, with the events before it."""
        text = "".join(lines).strip() + "\n  after: " + "; ".join(self._recent)
        self.exceptions.append(text)
        print(text, file=sys.stderr, flush=True)

    def _qt(self, kind: object, _context: object, text: str) -> None:
        if not any(words in text for words in NOT_OURS):
            self.add([f"{getattr(kind, 'name', kind)}: {text}"])

    def failed(self, sentence: str, details: str) -> None:
        """The window said that something failed: one of our own sentences, or a mistake of ours."""
        last = details.strip().splitlines()[-1] if details.strip() else ""
        ours = not details.strip() or last.startswith("engine.errors.") or "engine.errors." in details
        if ours or "<script>" in details:
            self.refusals[sentence.splitlines()[0]] += 1
        else:
            self.add([f"failed: {sentence}\n{details}"])


class Monkey:
    """Plays on `window` until its events are used up, then closes it."""

    def __init__(self, window: QWidget, capture: Path | None, values: dict, events: int, seconds: float, seed: int):
        self.window, self.studio = window, window.studio
        self.random = random.Random(seed)
        self.recent: deque[str] = deque(maxlen=8)
        self.witness = Witness(self.recent)
        self.studio.failed.connect(self.witness.failed)
        self.capture, self.values, self.events = capture, values, events
        self.pause_ms, self.verbose = max(1, round(1000 * seconds / events)), False
        self.played: Counter[str] = Counter()
        self.memory: list[tuple[float, float]] = []  # seconds, megabytes
        self.idle, self.runs, self.steps, self.closed = 0, 0, 0, False
        self.began = time.perf_counter()  # set anew by the first event
        self.studio.steps_reported.connect(self._count)
        self._sampler = QTimer(window, interval=5000)
        self._sampler.timeout.connect(self._sample)
        self._sampler.start()

    def _count(self, reports: list) -> None:
        self.steps += len(reports)

    def _sample(self) -> None:
        now = time.perf_counter() - self.began
        self.memory.append((now, resident()))
        if len(self.memory) % 6 == 0:
            stage = self.studio.session.stage_name if self.studio.session is not None else ""
            words = f"{now:.0f} s  {self.memory[-1][1]:.0f} MB ({allocated():.0f} in use)  {self.studio.state} {stage}"
            words += f"  run {self.runs}  step {self.steps}  event {sum(self.played.values())}"
            print(words, file=sys.stderr, flush=True)

    # ---- the hand

    def play(self) -> None:
        """One event; the next is asked for first, since a menu holds this call until it closes."""
        if not self.played:
            self.began = time.perf_counter()
            self.memory.clear()
        if sum(self.played.values()) >= self.events:
            QTimer.singleShot(0, self.finish)
            return
        due = self.began + 0.001 * self.pause_ms * (1 + sum(self.played.values()))
        QTimer.singleShot(max(1, round(1000 * (due - time.perf_counter()))), self.play)
        self._keep_training()
        kind = self._kind()
        self.played[kind] += 1
        self._say(kind)
        getattr(self, f"_{kind}")()

    def _kind(self) -> str:
        if QApplication.activePopupWidget() is not None:
            return "popup"
        if self._dialogs() and self.random.random() < 0.6:
            return "dialog"
        return self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    def _say(self, words: str) -> None:
        self.recent.append(words)
        if self.verbose:
            print(f"{time.perf_counter() - self.began:.1f}  {words}", file=sys.stderr, flush=True)

    def _keep_training(self) -> None:
        """Begin again, or go on, a while after training has ended."""
        state = self.studio.state
        self.idle = 0 if state == "running" else self.idle + 1
        if state == "opening" or self.idle < IDLE or self._dialogs():
            return
        self.idle = 0
        if state == "empty":
            self.studio.open(self.capture) if self.capture is not None else self.studio.open_sample()
        elif state in ("finished", "failed"):
            self.studio.new_run()
        elif state == "ready":
            self.begin()
        else:
            self.studio.resume()

    def begin(self) -> None:
        """Start a run with the recipe's own values and those of the command."""
        from engine.optimize.options import flat

        self.window.enter_studio()
        for key in flat(self.studio.recipe):
            self.studio.reset_option(key)
        for key, value in self.values.items():
            self.studio.set_option(key, value)
        if self.studio.state == "ready":
            self.runs += 1
            self.studio.run()

    def _dialogs(self) -> list[QDialog]:
        return [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]

    def _within(self, parent: QWidget, kind: type, shown=lambda w: True) -> list:
        found = parent.findChildren(kind)
        return [w for w in found if w.isVisible() and w.isEnabled() and w.objectName() not in LEFT_ALONE and shown(w)]

    def _one(self, parent: QWidget, kind: type, shown=lambda w: True):
        found = self._within(parent, kind, shown)
        return self.random.choice(found) if found else None

    def _press(self, widget: QWidget | None, place: QPoint | None = None, double: bool = False) -> None:
        if widget is None or not shiboken6.isValid(widget):
            return
        self._say(f"  {type(widget).__name__} {widget.objectName()}")
        place = place if place is not None else widget.rect().center()
        (QTest.mouseDClick if double else QTest.mouseClick)(widget, LEFT, pos=place)

    def _wheel(self, widget: QWidget, place: QPoint, notches: int) -> None:
        none = Qt.KeyboardModifier.NoModifier
        whole = QPointF(widget.mapToGlobal(place))
        turn = QPoint(0, 120 * notches)
        phase = Qt.ScrollPhase.NoScrollPhase
        event = QWheelEvent(QPointF(place), whole, QPoint(), turn, Qt.MouseButton.NoButton, none, phase, False)
        QApplication.sendEvent(widget, event)

    # ---- events

    def _popup(self) -> None:
        popup = QApplication.activePopupWidget()
        if isinstance(popup, QMenu) and self.random.random() < 0.7:
            actions = [a for a in popup.actions() if a.isEnabled() and a.isVisible() and not a.isSeparator()]
            actions = [a for a in actions if a.objectName() not in LEFT_ALONE]
            if actions:
                action = self.random.choice(actions)
                self._say(f"  menu {action.text()}")
                QTest.mouseClick(popup, LEFT, pos=popup.actionGeometry(action).center())
                return
        view = popup.findChild(QAbstractItemView)
        if view is not None and view.model() is not None and view.model().rowCount() and self.random.random() < 0.8:
            index = view.model().index(self.random.randrange(view.model().rowCount()), 0)
            view.scrollTo(index)
            QTest.mouseClick(view.viewport(), LEFT, pos=view.visualRect(index).center())
            return
        QTest.keyClick(popup, Qt.Key.Key_Escape)
        if shiboken6.isValid(popup) and popup.isVisible():
            popup.close()

    def _dialog(self) -> None:
        dialog = self.random.choice(self._dialogs())
        if self.random.random() < 0.3:
            self._say(f"  close {type(dialog).__name__} {dialog.objectName()}")
            dialog.close()
        else:
            self._press(self._one(dialog, QAbstractButton))

    def _click(self) -> None:
        self._press(self._one(self.window, QAbstractButton))

    def _control(self) -> None:
        self._press(self._one(self.window.controls, QAbstractButton))

    def _view(self) -> None:
        viewport = self.window.workspace.viewport
        canvas = None if viewport is None else viewport.canvas
        if canvas is None or not canvas.isVisible():
            return
        hand = self.random
        places = [QPoint(hand.randrange(canvas.width()), hand.randrange(canvas.height())) for _ in range(5)]
        what = hand.choice(("drag", "drag", "wheel", "key", "click", "point"))
        if what == "drag":
            button = hand.choice((LEFT, Qt.MouseButton.MiddleButton, Qt.MouseButton.RightButton))
            QTest.mousePress(canvas, button, pos=places[0])
            for place in places[1:]:
                QTest.mouseMove(canvas, place)
            QTest.mouseRelease(canvas, button, pos=places[-1])
        elif what == "wheel":
            self._wheel(canvas, places[0], hand.choice((-3, -1, 1, 3)))
        elif what == "key":
            canvas.setFocus()
            key = hand.choice(VIEW_KEYS)
            QTest.keyPress(canvas, key)
            QTimer.singleShot(100, canvas, lambda: QTest.keyRelease(canvas, key))
        elif what == "click":
            QTest.mouseClick(canvas, LEFT, pos=places[0])
        else:
            QTest.mouseMove(canvas, places[0])

    def _choose(self) -> None:
        box = self._one(self.window, QComboBox)
        if box is not None and self.random.random() < 0.5:
            box.setFocus()
            QTest.keyClick(box, self.random.choice((Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Home)))
        else:
            self._press(box)

    def _row(self) -> None:
        view = self._one(self.window, QAbstractItemView)
        if view is None or view.model() is None:
            return
        if self.random.random() < 0.2:
            self._wheel(view.viewport(), view.viewport().rect().center(), self.random.choice((-3, 3)))
        height, width = view.viewport().height(), view.viewport().width()
        place = QPoint(self.random.randrange(max(width, 1)), self.random.randrange(max(height, 1)))
        self._press(view.viewport(), place, double=self.random.random() < 0.15)

    def _option(self) -> None:
        panel = self.window.docks.panel("recipe")
        entry = None if panel is None else self._one(panel, QAbstractSpinBox)
        if entry is None:
            return
        self._say(f"  {entry.objectName()}")
        entry.setFocus()
        for _ in range(self.random.randint(1, 4)):
            QTest.keyClick(entry, self.random.choice((Qt.Key.Key_Up, Qt.Key.Key_Down)))
        QTest.keyClick(entry, Qt.Key.Key_Return)

    def _photo(self) -> None:
        capture = self.studio.capture
        if capture is not None and capture.train:
            frame = self.random.choice(list(capture.train))
            self.studio.exclude(frame, frame not in self.studio.excluded and len(self.studio.excluded) < 5)

    def _tab(self) -> None:
        bar = self._one(self.window, QTabBar, lambda bar: bar.count() > 1)
        if bar is not None:
            self._press(bar, bar.tabRect(self.random.randrange(bar.count())).center())

    def _menu(self) -> None:
        bar = self.window.menuBar()
        self._press(bar, bar.actionGeometry(self.random.choice(bar.actions())).center())

    def _type(self) -> None:
        panel = self.window.docks.panel("console")
        console = getattr(panel, "console", None)
        if console is None or not panel.isVisible():
            return
        field = console._control
        if panel._host.busy:
            self._press(panel.findChild(QAbstractButton, "console_interrupt"))
            return
        QTest.keyClicks(field, self.random.choice(LINES))
        QTest.keyClick(field, Qt.Key.Key_Return)
        if panel._host.busy:
            QTest.keyClick(field, Qt.Key.Key_Return)

    def _theme(self) -> None:
        from app.window.theme import THEMES

        self.window.set_theme(self.random.choice(list(THEMES)))

    def _resize(self) -> None:
        low, high = SIZES
        self.window.resize(self.random.randint(low[0], high[0]), self.random.randint(low[1], high[1]))

    # ---- the end

    def finish(self) -> None:
        """Close everything and the window, as a person would."""
        while (popup := QApplication.activePopupWidget()) is not None:
            popup.close()
        for dialog in self._dialogs():
            dialog.close()
        self._sampler.stop()
        self.memory.append((time.perf_counter() - self.began, resident()))
        self.studio.closed.connect(self._closed)
        self.window.close()
        QTimer.singleShot(300, self._answer)
        QTimer.singleShot(600_000, QApplication.quit)

    def _answer(self) -> None:
        if self.closed:
            return
        QTimer.singleShot(300, self._answer)
        if self.window.question is not None:
            name = self.random.choice(("save_and_close", "close_without_saving"))
            self._press(self.window.question.findChild(QAbstractButton, name))

    def _closed(self) -> None:
        self.closed = True
        QTimer.singleShot(0, QApplication.quit)

    def summary(self, hold: Watchdog, leaked: list[str]) -> dict:
        """What there is to report."""
        start = next((size for now, size in self.memory if now >= 60), self.memory[0][1])
        exceptions = list(self.witness.exceptions)
        if not self.closed:
            exceptions.append("the window did not close within ten minutes")
        return {
            "events": sum(self.played.values()),
            "seconds": round(time.perf_counter() - self.began),
            "runs": self.runs,
            "steps": self.steps,
            "exceptions": exceptions,
            "refusals": dict(self.witness.refusals),
            "leaked_threads": leaked,
            "megabytes": {
                "at_60_s": round(start),
                "end": round(self.memory[-1][1]),
                "growth": round(self.memory[-1][1] - start),
                "most": round(max(size for _, size in self.memory)),
            },
            "longest_hold_ms": round(1000 * hold.worst),
            "holds_over_100_ms": len(hold.late),
            "played": dict(self.played),
        }
