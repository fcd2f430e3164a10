"""Small pictures of photos, made in the background, newest wish first, in a cache of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage, QPixmap

if TYPE_CHECKING:
    from app.window.studio import Studio
    from engine.capture import Capture
    from engine.scene import Frame

SIDE = 128  # pixels, longest side of a thumbnail
KEPT = 512  # thumbnails, 64 KiB each
AT_ONCE = 2  # made at a time
WAITING = 96  # wishes kept; older ones come again when they are painted
SQUARES = 8  # pixels, side of the checkerboard's squares
LIGHT, DARK = np.array([0.93, 0.76, 0.86]), np.array([0.83, 0.62, 0.75])  # sRGB; the tint that no photo has

Key = tuple[int, int]  # frame, image size of the loss; -1: the photo itself


def photo_image(frame: Frame, side: int) -> np.ndarray:
    """[H,W,3 or 4] uint8: the photo's own file, scaled down. Reads from the disk."""
    from PIL import Image

    with Image.open(frame.image_path) as image:
        image.draft("RGB", (2 * side, 2 * side))  # JPEG: decodes only what is needed
        if image.mode in ("I;16", "I", "F"):
            image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
        small = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
        small.thumbnail((side, side))
        return np.array(small)


def loss_image(capture: Capture, frame: int, image_size: int) -> np.ndarray:
    """[H,W,3] uint8: the photo as the losses of a stage see it, what the mask hides as a tinted checkerboard."""
    from engine.optimize.loss_photo import loss_camera, loss_photo
    from engine.scene.conventions import linear_to_srgb

    premultiplied, alpha = loss_photo(capture.pixels(frame), loss_camera(capture.frames[frame].camera, image_size))
    straight = linear_to_srgb(premultiplied / np.maximum(alpha, 1e-6)[..., None])
    rows, columns = np.indices(alpha.shape)
    board = np.where((((rows // SQUARES) + (columns // SQUARES)) % 2 == 0)[..., None], LIGHT, DARK)
    shown = straight * alpha[..., None] + board * (1 - alpha[..., None])
    return (np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8)


def as_image(pixels: np.ndarray) -> QImage:
    """uint8 [H,W,3] or [H,W,4] as an image that owns its memory."""
    pixels = np.ascontiguousarray(pixels)
    height, width, channels = pixels.shape
    kind = QImage.Format.Format_RGBA8888 if channels == 4 else QImage.Format.Format_RGB888
    return QImage(pixels.data, width, height, channels * width, kind).copy()


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """[H,W,3] uint8 with its longest side at most `side`."""
    import cv2

    height, width = pixels.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if factor < 1 else pixels


class Thumbnails(QObject):
    """`picture` answers at once; where there is nothing yet it is made, and `made` tells."""

    made = Signal(int)  # frame

    def __init__(self, studio: Studio, parent: QObject | None = None, kept: int = KEPT) -> None:
        super().__init__(parent)
        self.studio, self.kept = studio, kept
        self.capture: Capture | None = None
        self.broken: set[Key] = set()  # files that cannot be read
        self._pictures: OrderedDict[Key, QPixmap] = OrderedDict()
        self._wishes: OrderedDict[Key, None] = OrderedDict()
        self._busy: set[tuple[int, Key]] = set()  # capture's number, key
        self._number = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def set_capture(self, capture: Capture | None) -> None:
        """Start over with the photos of another capture."""
        self.capture = capture
        self._number += 1
        self.broken.clear()
        self._pictures.clear()
        self._wishes.clear()

    def picture(self, frame: int, image_size: int = -1) -> QPixmap | None:
        """The thumbnail of a photo, or as a loss with that image size sees it."""
        key = (frame, image_size)
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        if self.capture is not None and key not in self.broken and (self._number, key) not in self._busy:
            self._wishes[key] = None
            self._wishes.move_to_end(key)
            while len(self._wishes) > WAITING:
                self._wishes.popitem(last=False)
            self._next()
        return None

    def _next(self) -> None:
        while self._wishes and len(self._busy) < AT_ONCE:
            key, _ = self._wishes.popitem(last=True)
            capture, number = self.capture, self._number
            frame, image_size = key
            token = (number, key)
            self._busy.add(token)

            def work(_handle: object, capture=capture, frame=frame, image_size=image_size) -> QImage:
                if image_size < 0:
                    return as_image(photo_image(capture.frames[frame], SIDE))
                return as_image(shrunk(loss_image(capture, frame, image_size), SIDE))

            def done(image: QImage, token=token) -> None:
                self._busy.discard(token)
                if token[0] == self._number:
                    self._keep(token[1], image)
                self._next()

            def failed(_error: BaseException, token=token) -> None:
                self._busy.discard(token)
                if token[0] == self._number:
                    self.broken.add(token[1])
                    self.made.emit(token[1][0])
                self._next()

            self.studio.background("", work, done, failed)

    def _keep(self, key: Key, image: QImage) -> None:
        self._pictures[key] = QPixmap.fromImage(image)
        while len(self._pictures) > self.kept:
            self._pictures.popitem(last=False)
        self.made.emit(key[0])
