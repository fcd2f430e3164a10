"""The page one starts from: open images, choose what you want, run; and the projects opened last."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFont, QPalette
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.window.choosers import Question
from app.window.doctor_view import DoctorView
from app.window.drops import Drops
from app.window.files import Files
from app.window.painted import DashedLabel, ForwardButton, ProgressBar, RadioButton
from app.window.presets import PRESETS, preset
from app.window.progress_words import progress_words
from app.window.recent_list import RecentList
from app.window.recipe_choice import choose_recipe, chosen_goal
from app.window.wrapped_label import WrappedLabel
from engine.optimize.messages import Progress

if TYPE_CHECKING:
    from app.window.studio import Studio

WIDEST = 1080  # pixels
READY = (
    "You can watch the shape emerge, pause, change options and leave photos out while it runs. "
    "It is saved once a minute."
)
START_TIP = "Start; you can watch, pause and change things while it runs"
BARE = {  # whether splats are chosen -> what to say of photos without masks
    True: "These photos have no masks, so all that they show is kept: splats suit that.",
    False: "These photos have no masks, which a model of an object needs; splats do without.",
}
ADVICE = {
    "running": "The run is under way.",
    "paused": "The run is paused; it can go on from where it is.",
    "finished": "The run is finished. Its model can be exported, or another run started with the same photos.",
    "failed": "The run was stopped by an error; it can be tried again.",
}


def heading(text: str, points: int) -> QLabel:
    """A bold line `points` larger than the rest."""
    label = WrappedLabel(text)
    font = QFont(label.font())
    font.setPointSize(font.pointSize() + points)
    font.setBold(True)
    label.setFont(font)
    return label


class Card(QFrame):
    """One of the three steps."""

    def __init__(self, number: int, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"step_{number}")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(16, 14, 16, 14)
        self.rows.setSpacing(8)
        self.rows.addWidget(heading(f"{number}.  {title}", 2))


class DropArea(DashedLabel):
    """Says that a folder may be dropped; it may be, anywhere on the page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Drop photos here: their folder, a video or a transforms.json", parent)
        self.setObjectName("drop_area")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setMinimumHeight(84)
        self.setToolTip("Drop a folder of photos, a video, a transforms.json or a project, anywhere on this page")
        self.setMargin(8)


class StartPage(QWidget):
    """Everything on it acts on the studio; `started` is emitted when Run is pressed."""

    started = Signal()

    def __init__(self, studio: Studio, parent: QWidget | None = None, files: Files | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("start_page")
        self.studio = studio
        self.files = files or Files(studio, self)
        self._judged: Callable[[], Any] = lambda: None  # the capture that was looked at for masks, not kept alive
        self._suggested = False  # whether the recipe was changed because of it
        content = QWidget()
        content.setMaximumWidth(WIDEST)
        page = QVBoxLayout(content)
        page.setContentsMargins(24, 16, 24, 12)
        page.setSpacing(10)
        page.addWidget(heading("Unrender", 10))
        page.addWidget(WrappedLabel("From photos to a 3D model with materials, or to splats, in three steps."))
        cards = QHBoxLayout()
        cards.setSpacing(14)
        for card in (self._images(), self._choice(), self._run()):
            cards.addWidget(card, 1)
        page.addLayout(cards)
        page.addSpacing(6)
        self.below = heading("", 2)
        self.below.setObjectName("below_title")
        page.addWidget(self.below)
        self.recent = RecentList(studio, self.files.recent)
        self.recent.chosen.connect(self.files.open_path)
        self.none_yet = WrappedLabel("Projects that you run appear here.")
        self.none_yet.setObjectName("no_recent")
        self.doctor = DoctorView(studio, choose=self.files.choose, whole=True)
        page.addWidget(self.recent)
        page.addWidget(self.none_yet)
        page.addWidget(self.doctor, 1000)
        page.addStretch(1)
        centred = QWidget()
        row = QHBoxLayout(centred)
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(content, 1000)
        row.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(centred)
        scroll.setAccessibleName("Start page, scrolled")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        drops = Drops(self, self.files.open_path)
        drops.hovering.connect(self.drop_area.mark)
        studio.state_changed.connect(lambda _: self.refresh())
        studio.state_changed.connect(self._judge)
        studio.capture_changed.connect(lambda _: self.refresh_choice())
        studio.capture_changed.connect(lambda _: self.refresh())
        studio.doctor_changed.connect(lambda _: self.refresh())
        studio.project_changed.connect(lambda _: self.refresh())
        studio.recipe_changed.connect(lambda _: self.refresh_choice())
        studio.message_received.connect(self._message)
        self.files.recent.changed.connect(self.refresh)
        self.refresh()
        self.refresh_choice()

    def sizeHint(self) -> QSize:
        """Room for everything."""
        return QSize(1000, 700)

    # ---- the three steps

    def _images(self) -> QWidget:
        card = Card(1, "Open images")
        self.opened = WrappedLabel("")
        self.opened.setObjectName("opened_capture")
        self.opened.setTextFormat(Qt.TextFormat.RichText)
        self.drop_area = DropArea()
        choose = QPushButton("Open a folder\u2026")
        choose.setObjectName("open_folder")
        choose.setToolTip("A folder of photos, or a project; camera poses that the photos lack are found first")
        choose.clicked.connect(self.files.open)
        file = QPushButton("Open a video or file\u2026")
        file.setObjectName("open_file")
        file.setToolTip("A video, whose camera poses are found first, or a capture's transforms.json")
        file.clicked.connect(self.files.open_file)
        sample = QPushButton("Use the sample photos")
        sample.setObjectName("open_sample")
        sample.setToolTip("Photos of a cup that come with Unrender, to try it out")
        sample.clicked.connect(self.files.open_sample)
        card.rows.addWidget(self.opened)
        card.rows.addWidget(self.drop_area, 1)
        for button in (choose, file, sample):
            card.rows.addWidget(button)
        return card

    def _choice(self) -> QWidget:
        card = Card(2, "Choose what you want")
        self.goals = QButtonGroup(self)
        for goal in PRESETS:
            button = RadioButton("")
            button.setObjectName(f"goal_{goal.name}")
            button.setProperty("goal", goal.name)
            self.goals.addButton(button)
            card.rows.addWidget(button)
            sentence = WrappedLabel(goal.sentence, muted=True)
            sentence.setContentsMargins(22, 0, 0, 0)
            card.rows.addWidget(sentence)
        self.goals.buttonClicked.connect(lambda button: self.studio.apply_preset(button.property("goal")))
        card.rows.addStretch(1)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        line.setForegroundRole(QPalette.ColorRole.Mid)
        card.rows.addWidget(line)
        self.recipes = QButtonGroup(self)
        self.from_photos = RadioButton("A new model from the photos")
        self.from_photos.setObjectName("recipe_object")
        self.from_photos.setToolTip("Shape, materials and light are all found from the photos (recipe object)")
        self.to_splats = RadioButton("Splats of a whole scene")
        self.to_splats.setObjectName("recipe_scene")
        self.to_splats.setToolTip("Gaussian splats of all that the photos show, which need no masks (recipe scene)")
        self.from_mesh = RadioButton("Improve a mesh that I have\u2026")
        self.from_mesh.setObjectName("recipe_refine")
        self.from_mesh.setToolTip("Start from a GLB, OBJ or PLY in the capture's frame (recipe refine)")
        for button in (self.from_photos, self.to_splats, self.from_mesh):
            self.recipes.addButton(button)
            card.rows.addWidget(button)
        self.mesh = WrappedLabel("")
        self.mesh.setObjectName("refined_mesh")
        self.mesh.setContentsMargins(22, 0, 0, 0)
        card.rows.addWidget(self.mesh)
        self.hint = WrappedLabel("", muted=True)
        self.hint.setObjectName("masks_hint")
        card.rows.addWidget(self.hint)
        self.to_splats.clicked.connect(lambda: choose_recipe(self.studio, "scene"))
        self.from_photos.clicked.connect(lambda: choose_recipe(self.studio, "object"))
        self.from_mesh.clicked.connect(self._choose_mesh)
        return card

    def _run(self) -> QWidget:
        card = Card(3, "Run")
        self.advice = WrappedLabel("")
        self.advice.setObjectName("run_advice")
        self.folder = WrappedLabel("")
        self.folder.setObjectName("project_folder")
        self.folder.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.change = QPushButton("Change\u2026")
        self.change.setObjectName("change_folder")
        self.change.setToolTip("Choose the folder that the project is written to")
        self.change.clicked.connect(self._choose_folder)
        self.run_button = ForwardButton("Run")
        self.run_button.setObjectName("start_run")
        self.run_button.setMinimumHeight(44)
        font = QFont(self.run_button.font())
        font.setPointSize(font.pointSize() + 3)
        font.setBold(True)
        self.run_button.setFont(font)
        self.run_button.clicked.connect(self._start)
        self.progress = ProgressBar()
        self.progress.setObjectName("opening_progress")
        self.progress.setToolTip("How far the opening is")
        self.progress.setTextVisible(False)
        card.rows.addWidget(self.advice)
        card.rows.addWidget(self.progress)
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("cancel_opening")
        self.cancel.setToolTip("Stop opening the photos")
        self.cancel.clicked.connect(self.studio.cancel_background)
        card.rows.addWidget(self.cancel, 0, Qt.AlignmentFlag.AlignLeft)
        self.folder_title = WrappedLabel("The project is written to", muted=True)
        card.rows.addWidget(self.folder_title)
        card.rows.addWidget(self.folder)
        card.rows.addWidget(self.change, 0, Qt.AlignmentFlag.AlignLeft)
        card.rows.addStretch(1)
        card.rows.addWidget(self.run_button)
        return card

    # ---- what happens

    def _choose_mesh(self) -> None:
        self.refresh_choice()  # the button follows the recipe, which follows the file
        self.files.import_mesh()

    def _choose_folder(self) -> None:
        start = self.studio.next_folder()
        question = Question("Folder for the project", "new folder", start=start)
        self.files.choose(self, question, self.studio.set_project_folder)

    def _start(self) -> None:
        self.started.emit()
        if self.studio.session is None:
            self.studio.run()

    def _message(self, message: object) -> None:
        if isinstance(message, Progress) and self.studio.state == "opening":
            self._show_progress(*progress_words(message))

    def _show_progress(self, done: float, words: str) -> None:
        self.advice.setText(words)
        self.progress.setRange(0, 0 if done < 0 else 1000)
        self.progress.setValue(round(1000 * max(done, 0.0)))

    def refresh_choice(self) -> None:
        """Show the recipe's goal and kind."""
        goal, recipe = chosen_goal(self.studio), self.studio.recipe
        self.goals.setExclusive(False)
        for button in self.goals.buttons():
            name = button.property("goal")
            button.setChecked(name == goal)
            duration = preset(name).duration(recipe.name)
            button.setText(preset(name).title + (f"  ({duration})" if duration else ""))
            button.setToolTip(preset(name).described(recipe.name))
        self.goals.setExclusive(True)
        refine, splats = recipe.name == "refine", recipe.name == "scene"
        self.from_photos.setChecked(not refine and not splats)
        self.to_splats.setChecked(splats)
        self.from_mesh.setChecked(refine)
        file = recipe.refine.mesh if refine else recipe.splats.start_file if splats else ""
        self.mesh.setText(Path(file).name if file else "")
        self.mesh.setVisible(bool(file))
        capture = self.studio.capture
        bare = capture is not None and not capture.has_masks
        self.hint.setText(BARE[splats] if bare else "")
        self.hint.setVisible(bare)

    def _judge(self, state: str) -> None:
        """Suggest splats for photos without masks, once after they were opened; and a model of an object again."""
        capture = self.studio.capture
        if state != "ready" or capture is None or self._judged() is capture:
            return
        self._judged = weakref.ref(capture)
        name = self.studio.recipe.name
        if not capture.has_masks and name == "object":
            choose_recipe(self.studio, "scene")
            self._suggested = True
        elif capture.has_masks and name == "scene" and self._suggested:
            choose_recipe(self.studio, "object")
            self._suggested = False

    def refresh(self) -> None:
        """Show what is open and what can be done."""
        capture, state = self.studio.capture, self.studio.state
        ready = capture is not None and self.studio.session is None and state == "ready"
        if state == "opening":
            self.opened.setText("Reading\u2026")
        elif capture is None:
            self.opened.setText(
                "A folder of photos, with camera poses (transforms.json or COLMAP) or without, or a video."
            )
        else:
            name = capture.path.parent.name if capture.path.is_file() else capture.path.resolve().name
            counts = f"{len(capture.train)} photos to learn from, {len(capture.test)} for testing"
            self.opened.setText(f"<b>{name}</b><br>{counts}")
        session = self.studio.session is not None
        advice = "Open images first." if capture is None else ADVICE.get(state, "")
        if state == "opening":
            self._show_progress(-1.0, "Reading what is there\u2026")
        else:
            self.advice.setText(READY if ready else advice)
        for widget in (self.progress, self.cancel):
            widget.setVisible(state == "opening")
        self.run_button.setText("Show the run" if session else "Run")
        self.run_button.setToolTip("Go to the run that is open" if session else START_TIP)
        self.run_button.setEnabled(ready or session)
        self.change.setEnabled(ready)
        self.from_mesh.setEnabled(ready)
        for button in (self.from_photos, self.to_splats):
            button.setEnabled(capture is None or ready)
        for widget in (self.folder, self.folder_title, self.change):
            widget.setVisible(ready)
        if ready:
            self.folder.setText(_breakable(str(self.studio.next_folder())))
        examined = capture is not None or self.doctor.report is not None
        has_recent = bool(self.files.recent.projects())
        self.below.setText("What was found in the photos" if examined else "Recent projects")
        self.doctor.setVisible(examined)
        self.recent.setVisible(not examined and has_recent)
        self.none_yet.setVisible(not examined and not has_recent)


def _breakable(path: str) -> str:
    """A path that may be wrapped after its separators."""
    return path.replace("/", "/\u200b").replace("\\", "\\\u200b")
