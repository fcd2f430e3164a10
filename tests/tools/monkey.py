"""A monkey at the studio window: trains in the real window while a seeded hand clicks, types, drags and resizes.

    QT_QPA_PLATFORM=offscreen python tests/tools/monkey.py --minutes 30 --events 2000 --seed 1
    python tests/tools/monkey.py --minutes 3 --events 200 --capture FOLDER --set shape.steps=30

It opens a capture (the sample unless told otherwise), runs it with the balanced recipe and plays `--events` random
events evenly over `--minutes`: clicks on enabled buttons, tabs, list rows, check boxes and menu entries, choices in
combo boxes, wheel, drags and keys in the viewport, option edits, photos left out and taken in, lines typed into the
console, dialogs opened and closed, themes, sizes between 1000x700 and 1400x900. A run that ended or was closed is
begun again with the recipe's own values, so that training goes on. Then it closes the window by its close button and
answers what is asked. System file dialogs are answered with "cancel"; Quit and the preset "best" are not touched.

Printed: one line of JSON. `exceptions` are uncaught errors of any thread, Qt's warnings and failures that are not one
of our own sentences; `refusals` are failures that are (a script with a mistake, an option that does not fit);
`leaked_threads` live on after closing; `megabytes` are resident memory at 60 s and at the end, with a line every half
minute on the error stream; `longest_hold_ms` is the longest time the event loop was not served, less the time other
programs had the processors. Exit code 1 with an exception or a leaked thread. The same seed plays the same hand, but
what lies under it depends on how far training is: the events are printed with `--verbose`.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt looks for a display
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import QSettings, QStandardPaths, QTimer  # noqa: E402
from PySide6.QtWidgets import QApplication, QFileDialog  # noqa: E402

from tests.app.window.watchdog import Watchdog  # noqa: E402
from tests.tools.monkey_hand import Monkey  # noqa: E402


def cancel_file_dialogs() -> None:
    """Answer the system's file dialogs with "cancel"."""
    QFileDialog.open = lambda self, *_: self.deleteLater()
    for name, answer in (
        ("getExistingDirectory", ""),
        ("getOpenFileName", ("", "")),
        ("getSaveFileName", ("", "")),
    ):
        setattr(QFileDialog, name, staticmethod(lambda *_, answer=answer, **__: answer))


def run_monkey(options: argparse.Namespace, folder: Path) -> dict:
    """Play as `options` say, with settings and projects below `folder`; the summary."""
    from app.window.garbage import GuiGarbage
    from app.window.main_window import MainWindow
    from app.window.studio import Studio
    from engine.optimize.options import set_option

    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setQuitOnLastWindowClosed(False)
    cancel_file_dialogs()
    before = set(threading.enumerate())
    settings = QSettings(str(folder / "settings.ini"), QSettings.Format.IniFormat)
    settings.setValue("projects/folder", str(folder / "projects"))
    garbage, studio = GuiGarbage(), Studio(settings)
    values = dict(pair.split("=", 1) for pair in options.set)
    for key, value in values.items():
        set_option(studio.recipe, key, value)
    window = MainWindow(studio)
    capture = Path(options.capture) if options.capture else None
    monkey = Monkey(window, capture, values, options.events, 60 * options.minutes, options.seed)
    monkey.verbose = options.verbose
    window.show()
    hold = Watchdog()
    studio.open(capture) if capture is not None else studio.open_sample()
    studio.warm_up()

    def when_ready() -> None:
        if not (window.is_ready and studio.state == "ready"):
            QTimer.singleShot(50, when_ready)
            return
        monkey.begin()
        when_training()

    def when_training() -> None:
        """Kernels may have to be compiled before the first step; a game without training shows little."""
        if not monkey.steps and studio.state not in ("failed", "finished"):
            QTimer.singleShot(50, when_training)
            return
        monkey.play()

    when_ready()
    app.exec()
    hold.stop()
    studio.close()
    garbage.stop()
    until = time.monotonic() + 120
    while (leaked := [t.name for t in threading.enumerate() if t not in before]) and time.monotonic() < until:
        time.sleep(0.05)
    for late in sorted(hold.late, key=lambda text: -float(text.split()[2]))[: options.holds]:
        print(late, file=sys.stderr)
    return monkey.summary(hold, leaked)


def main() -> int:
    """Parse, play, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--capture", default="", help="the sample capture unless given")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of every run")
    parser.add_argument("--holds", type=int, default=3, help="print so many of the longest holds of the event loop")
    parser.add_argument("--verbose", action="store_true", help="print every event")
    options = parser.parse_args()
    faulthandler.enable()
    QStandardPaths.setTestModeEnabled(True)
    with tempfile.TemporaryDirectory(prefix="unrender_monkey_", ignore_cleanup_errors=True) as folder:
        report = run_monkey(options, Path(folder))
        sys.stderr.flush()
        print(json.dumps(report), flush=True)
    return 1 if report["exceptions"] or report["leaked_threads"] else 0


if __name__ == "__main__":
    sys.exit(main())
