"""The photos: thumbnails with split, mask and error, looking through them and leaving them out, the doctor's word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPoint, QSize, QSortFilterProxyModel, Qt
from PySide6.QtGui import QGuiApplication, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.window.choosers import Chooser, ask_path
from app.window.doctor_view import DoctorView
from app.window.painted import CheckBox
from app.window.photo_list import FRAME, ORDERS, SORT, PhotoDelegate, PhotoList, PhotoModel
from app.window.thumbnails import Thumbnails, as_image, loss_image

if TYPE_CHECKING:
    from app.window.studio import Studio


class Picture(QWidget):
    """One picture, as large as there is room for, and a line about it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = QLabel()
        self.image.setObjectName("photo_picture")
        self.image.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.image.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.caption = QLabel()
        self.caption.setObjectName("photo_caption")
        self.caption.setWordWrap(True)
        self.caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.full: QPixmap | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.image, 1)
        layout.addWidget(self.caption)
        self.setMinimumHeight(90)

    def set(self, pixmap: QPixmap | None, caption: str) -> None:
        """Show another picture."""
        self.full = pixmap
        self.caption.setText(caption)
        self._fit()

    def sizeHint(self) -> QSize:
        """A third of a dock."""
        return QSize(240, 220)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fits the picture again."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self.full is None or self.full.isNull():
            self.image.clear()
            return
        modes = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        self.image.setPixmap(self.full.scaled(self.image.size(), *modes))


class CapturePanel(QWidget):
    """Tab "Photos" lists them, tab "Check" has the doctor's findings."""

    def __init__(self, studio: Studio, parent: QWidget | None = None, choose: Chooser = ask_path) -> None:
        super().__init__(parent)
        self.setObjectName("capture_panel")
        self.studio = studio
        self.thumbnails = Thumbnails(studio, self)
        self.model = PhotoModel(studio, self.thumbnails, self)
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.model)
        self.sorted.setSortRole(SORT)
        self.sorted.setDynamicSortFilter(True)
        self.sorted.sort(0)
        self.list = PhotoList()
        self.list.setAccessibleName("Photos")
        self.delegate = PhotoDelegate(self.list)
        self.list.setItemDelegate(self.delegate)
        self.list.setModel(self.sorted)
        self.picture = Picture()
        self.doctor = DoctorView(studio, choose=choose)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("capture_tabs")
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Parts of the capture")
        self.tabs.addTab(self._photos(), "Photos")
        self.tabs.addTab(self.doctor, "Check")
        self.tabs.setTabToolTip(0, "The photos, how they are used and how well they are matched")
        self.tabs.setTabToolTip(1, "What is right and wrong with the photos and their cameras")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        self.list.clicked.connect(self._clicked)
        self.list.customContextMenuRequested.connect(self._menu)
        self.doctor.summary_changed.connect(self._summarised)
        studio.view_frame_changed.connect(self._show_frame)
        studio.capture_changed.connect(lambda _: self._capture_changed())
        studio.recipe_changed.connect(lambda _: self._size_changed())
        studio.message_received.connect(lambda _: self._size_changed())
        studio.session_changed.connect(lambda _: self._size_changed())
        studio.excluded_changed.connect(lambda _: self._count())
        self._summarised("", 0)
        self.doctor.show_report(studio.doctor)
        self._capture_changed()

    def _photos(self) -> QWidget:
        self.order = QComboBox()
        self.order.setObjectName("photo_order")
        self.order.setToolTip("Order of the photos")
        self.order.setAccessibleName("Order of the photos")
        for key, title in ORDERS.items():
            self.order.addItem(title, key)
        self.order.activated.connect(lambda _: self.sort(self.order.currentData()))
        self.masked = CheckBox("As the loss sees them")
        self.masked.setObjectName("photo_masked")
        self.masked.setToolTip(
            "Show the photos at the size of the current stage, with what the mask hides as a pink chequerboard"
        )
        self.masked.toggled.connect(lambda _: self._size_changed())
        self.free = QPushButton("Free camera")
        self.free.setObjectName("free_camera")
        self.free.setToolTip("Stop looking through a photo")
        self.free.clicked.connect(lambda: self.studio.look_through(None))
        self.counts = QLabel()
        self.counts.setObjectName("photo_counts")
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(QLabel("Sort by"))
        first.addWidget(self.order, 1)
        first.addWidget(self.free)
        second.addWidget(self.masked, 1)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setObjectName("photo_split")
        split.addWidget(self.list)
        split.addWidget(self.picture)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 1)
        split.setChildrenCollapsible(True)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(first)
        layout.addLayout(second)
        layout.addWidget(self.counts)
        layout.addWidget(split, 1)
        return page

    def sort(self, order: str) -> None:
        """Sort by one of ORDERS."""
        self.model.order = order
        self.order.setCurrentIndex(self.order.findData(order))
        self.sorted.invalidate()
        self.sorted.sort(0)

    def index_of(self, frame: int) -> Any:
        """Where a photo stands in the list."""
        return self.sorted.mapFromSource(self.model.index(frame))

    @property
    def stage_size(self) -> tuple[str, int]:
        """The stage that runs, or the first that looks at photos, and the image size of its loss; 0 is full size."""
        recipe, session = self.studio.recipe, self.studio.session
        names = list(recipe.stages)
        if session is not None and not session.finished and session.stage_index < len(names):
            names = names[session.stage_index :] + names[: session.stage_index]
        sizes = [(name, getattr(getattr(recipe, name, None), "image_size", None)) for name in names]
        return next(((name, int(size)) for name, size in sizes if size is not None), ("", 0))

    def _clicked(self, index: Any) -> None:
        if self.delegate.toggled:
            self.delegate.toggled = False
            return
        self.studio.look_through(index.data(FRAME))

    def _menu(self, place: QPoint) -> None:
        index = self.list.indexAt(place)
        if not index.isValid():
            return
        frame, name = index.data(FRAME), str(index.data())
        menu = QMenu(self)
        menu.setObjectName("photo_menu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Look through this photo", lambda: self.studio.look_through(frame))
        if self.studio.capture is not None and frame in self.studio.capture.train:
            excluded = frame in self.studio.excluded
            text = "Take this photo in again" if excluded else "Leave this photo out"
            menu.addAction(text, lambda: self.studio.exclude(frame, not excluded))
        if self.studio.excluded:
            menu.addAction("Take in all photos", self._include_all)
        menu.addAction("Copy the name", lambda: QGuiApplication.clipboard().setText(name))
        menu.popup(self.list.viewport().mapToGlobal(place))

    def _include_all(self) -> None:
        for frame in sorted(self.studio.excluded):
            self.studio.exclude(frame, False)

    def _capture_changed(self) -> None:
        self._count()
        self._show_frame(self.studio.view_frame)

    def _count(self) -> None:
        capture = self.studio.capture
        if capture is None:
            self.counts.setText("No photos are open.")
            return
        left_out = len(self.studio.excluded)
        used = len(capture.train) - left_out
        text = f"{used} for training, {len(capture.test)} for testing"
        self.counts.setText(text + (f", {left_out} left out" if left_out else ""))

    def _size_changed(self) -> None:
        size = self.stage_size[1] if self.masked.isChecked() else -1
        if size != self.model.image_size:
            self.model.image_size = size
            self.model.refresh()
            self._show_frame(self.studio.view_frame)

    def _show_frame(self, frame: int | None) -> None:
        self.free.setEnabled(frame is not None)
        capture = self.studio.capture
        if capture is None or frame is None or frame >= len(capture.frames):
            self.list.clearSelection()
            self.picture.set(None, "")
            self.picture.hide()
            return
        index = self.index_of(frame)
        self.list.setCurrentIndex(index)
        self.list.scrollTo(index)
        self.picture.setVisible(self.masked.isChecked())
        if self.masked.isChecked():
            self._show_loss(capture, frame)

    def _show_loss(self, capture: Any, frame: int) -> None:
        """Below the list, the photo as the loss sees it; the viewport shows the photo itself."""
        stage, size = self.stage_size

        def work(_handle: object) -> np.ndarray:
            return loss_image(capture, frame, size)

        def is_asked() -> bool:
            wanted = self.studio.capture is capture and self.studio.view_frame == frame
            return wanted and self.masked.isChecked() and self.model.image_size == size

        def done(pixels: np.ndarray) -> None:
            if is_asked():
                where = f" in stage {stage}" if stage else ""
                text = f"{capture.frames[frame].name}{where}: {pixels.shape[1]} x {pixels.shape[0]} pixels"
                self.picture.set(QPixmap.fromImage(as_image(pixels)), text)

        def failed(_error: BaseException) -> None:
            if is_asked():
                path = Path(capture.frames[frame].image_path)
                self.picture.set(None, f"{path.name} cannot be read; it may have been moved or deleted.")

        self.studio.background("", work, done, failed)

    def _summarised(self, line: str, problems: int) -> None:
        self.tabs.setTabText(1, f"Check ({problems})" if problems else "Check")
