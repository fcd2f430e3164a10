"""The stages of a recipe as a list: which are done, which one runs and how far it has come."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QToolButton, QWidget

from app.window.painted import ProgressBar
from engine.optimize.messages import Progress, StageChanged, StepReport

MARKS = {"waiting": "○", "running": "▶", "done": "✓", "failed": "✗"}
MEANINGS = {
    "hull": "Carves a first shape from the masks",
    "volume": "Digs the hollows that no mask shows",
    "stereo": "Matches photos with each other and keeps the shape they prefer",
    "shape": "Fits the surface, its material and the light to masks and photos",
    "mesh": "Simplifies the surface, unfolds it and bakes textures",
    "given": "Reads the mesh to start from",
    "refine": "Fits mesh, textures and light together",
    "export": "Writes the model, reads it back and compares",
}


class StageList(QWidget):
    """One row per stage; clicking its name asks for its options."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("stage_list")
        self.stages: tuple[str, ...] = ()
        self.states: list[str] = []
        self.marks: list[QLabel] = []
        self.bars: list[ProgressBar] = []
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setHorizontalSpacing(6)
        self.grid.setVerticalSpacing(2)
        self.grid.setColumnStretch(2, 1)

    def show_stages(self, stages: tuple[str, ...]) -> None:
        """Make the rows where they are not those already."""
        if stages == self.stages:
            return
        while self.grid.count():
            self.grid.takeAt(0).widget().deleteLater()
        self.stages, self.states = stages, ["waiting"] * len(stages)
        self.marks, self.bars = [], []
        for place, name in enumerate(stages):
            mark, button, bar = QLabel(MARKS["waiting"]), QToolButton(), ProgressBar()
            mark.setObjectName(f"stage_mark_{name}")
            mark.setFixedWidth(16)
            mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
            button.setObjectName(f"stage_{name}")
            button.setText(name.replace("_", " ").capitalize())
            button.setAutoRaise(True)
            button.setToolTip(f"{MEANINGS.get(name, name.capitalize())}.\nClick to see its options.")
            button.clicked.connect(lambda _=False, name=name: self.chosen.emit(name))
            bar.setObjectName(f"stage_bar_{name}")
            bar.setToolTip(f"How far the stage {name} has come")
            bar.setRange(0, 1000)
            bar.setMinimumWidth(40)
            bar.setMaximumHeight(16)
            self._show_bar(bar, 0, "")
            self.grid.addWidget(mark, place, 0)
            self.grid.addWidget(button, place, 1, Qt.AlignmentFlag.AlignLeft)
            self.grid.addWidget(bar, place, 2)
            self.marks.append(mark)
            self.bars.append(bar)

    def restart(self, current: int = 0) -> None:
        """Stages before `current` are done, the rest wait."""
        for place in range(len(self.stages)):
            self._set(place, "done" if place < current else "waiting")

    def show_message(self, message: object) -> None:
        """Follow StageChanged, Progress and StepReport."""
        stage = getattr(message, "stage", None)
        if not isinstance(message, (StageChanged, Progress, StepReport)) or stage not in self.stages:
            return
        place = self.stages.index(stage)
        if isinstance(message, StageChanged):
            self._arrive(place, "done" if message.state == "done" else "running")
            if message.state == "finish":
                self.bars[place].setFormat("finishing")
        elif isinstance(message, Progress):
            self._arrive(place, "running")
            share = min(max(message.done, 0.0), 1.0)
            self._show_bar(self.bars[place], share, message.text or f"{share:.0%}")
        elif message.steps:
            self._arrive(place, "running")
            text = f"{message.step} of {message.steps}"
            self._show_bar(self.bars[place], message.step / message.steps, text)

    def fail(self) -> None:
        """Mark the stage that ran as failed."""
        for place, state in enumerate(self.states):
            if state == "running":
                self._set(place, "failed")

    def _arrive(self, place: int, state: str) -> None:
        for other in range(len(self.stages)):
            expected = "done" if other < place else state if other == place else "waiting"
            if self.states[other] != expected:
                self._set(other, expected)

    def _set(self, place: int, state: str) -> None:
        self.states[place] = state
        self.marks[place].setText(MARKS[state])
        self.marks[place].setToolTip(state.capitalize())
        text = {"waiting": "", "running": "starting", "done": "done", "failed": "failed"}[state]
        if state != "failed":
            self._show_bar(self.bars[place], 1.0 if state == "done" else 0.0, text)
        else:
            self.bars[place].setFormat(text)

    @staticmethod
    def _show_bar(bar: ProgressBar, share: float, text: str) -> None:
        bar.setFormat(text)
        bar.setTextVisible(bool(text))
        bar.setValue(round(1000 * share))
