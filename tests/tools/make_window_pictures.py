"""Make the README's pictures of the window: `QT_QPA_PLATFORM=offscreen python tests/tools/make_window_pictures.py`.

Opens the real window on the sample capture, runs it, and takes one picture in the middle of the run and one at its end,
looking through a test photo with the wipe. `--quick` uses the goal "quick look"; `--project DIR` takes the second
picture only, of a finished project. Takes as long as the run does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

PICTURES = Path(__file__).resolve().parents[2] / "assets" / "pictures"
SIZE = (1400, 900)
MIDDLE = ("shape", 0.35)  # stage, and share of its steps


class Photographer:
    """Drives the window by the studio and takes the pictures."""

    def __init__(self, app: QApplication, window, studio, folder: Path, quick: bool):
        self.app, self.window, self.studio, self.folder, self.quick = app, window, studio, folder, quick
        self.taken: set[str] = set()
        studio.state_changed.connect(self.state)
        studio.steps_reported.connect(self.steps)
        studio.failed.connect(lambda sentence, details: self.leave(f"{sentence}\n{details}"))

    def state(self, state: str) -> None:
        if state == "ready" and self.studio.session is None and not self.taken:
            self.taken.add("run")
            if self.quick:
                self.studio.apply_preset("quick")
            self.studio.set_project_folder(self.folder / "sample")
            self.window.enter_studio()
            self.studio.run()
        elif state == "finished":
            self.window.enter_studio()
            self.studio.look_through(self.studio.capture.test[2])
            self.window.workspace.viewport.model.set_compare("wipe")
            self.take_when_drawn()

    def steps(self, reports: list) -> None:
        stage, share = MIDDLE
        last = reports[-1]
        if last.stage == stage and last.step >= share * last.steps and "window" not in self.taken:
            self.take("window")

    def take_when_drawn(self) -> None:
        """Take the second picture once view and scores show the model."""
        drawn, studio = self.window.workspace.viewport.model.drawn, self.studio
        if drawn is None or not drawn.final or drawn.photo is None or len(studio.scores) < len(studio.capture.frames):
            QTimer.singleShot(500, self.take_when_drawn)
            return
        self.take("window_compare")
        self.leave("")

    def take(self, name: str) -> None:
        """Write one picture, pixel for pixel: shrunk, its text would be blurred and its file no smaller."""
        self.taken.add(name)
        path, target = self.folder / f"{name}.png", PICTURES / f"{name}.png"
        self.window.grab().save(str(path))
        Image.open(path).convert("RGB").save(target, optimize=True)
        print(f"wrote {target.relative_to(PICTURES.parents[1])} ({target.stat().st_size // 1024} KB)", flush=True)

    def leave(self, problem: str) -> None:
        if problem:
            print(problem, file=sys.stderr)
        self.studio.close()
        self.app.exit(1 if problem else 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--project", type=Path)
    chosen = parser.parse_args()
    app = QApplication(sys.argv[:1])
    from app.window.main_window import MainWindow
    from app.window.studio import Studio

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studio = Studio(QSettings(str(folder / "settings.ini"), QSettings.Format.IniFormat))
        window = MainWindow(studio)
        window.resize(*SIZE)
        window.show()
        photographer = Photographer(app, window, studio, folder, chosen.quick)
        start = studio.open_sample if chosen.project is None else lambda: studio.open(chosen.project)
        QTimer.singleShot(3000, start)
        code = app.exec()
        return code or (0 if "window_compare" in photographer.taken else 1)


if __name__ == "__main__":
    sys.exit(main())
