"""Pictures and films of the view: a screenshot as PNG, a turn around the object as MP4."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, TimeoutError
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtGui import QImage

from engine.errors import Cancelled, UnrenderError
from engine.scene import Camera

if TYPE_CHECKING:
    from app.window.background import ProgressHandle
    from app.window.viewport.viewport import Viewport

FRAMES_PER_SECOND = 30
PATIENCE = 0.1  # seconds between looks at whether the user cancelled


def pixels_of(picture: QImage) -> np.ndarray:
    """uint8 [H,W,3] of a picture."""
    image = picture.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def save_screenshot(viewport: Viewport, path: Path, done: Callable[[Path], None] | None = None) -> None:
    """Write what the view shows now, with what lies over it, as PNG; errors go to the studio's `failed`."""
    from engine.exchange import write_png

    picture, path = viewport.canvas.grab().toImage(), Path(path)

    def work(_handle: ProgressHandle) -> Path:
        write_png(path, pixels_of(picture))
        return path

    viewport.studio.background("Saving the screenshot", work, done)


def turn_cameras(viewport: Viewport, count: int, width: int, height: int) -> list[Camera]:
    """`count` cameras once around the object, beginning where the view is seen from."""
    model = viewport.model
    control = copy.deepcopy(model.control)
    if model.frame is not None:
        control.take(model.photo_camera)
    cameras = []
    for _ in range(count):
        cameras.append(control.camera(width, height))
        control.turn_degrees(360 / count)
    return cameras


def save_turntable(
    viewport: Viewport,
    path: Path,
    seconds: float = 8.0,
    size: tuple[int, int] = (1280, 720),  # width, height
    done: Callable[[Path], None] | None = None,
) -> None:
    """Film one turn in the present display and light as MP4, with progress and a way to cancel.

    Drawn by the view thread between its other pictures. Raises UnrenderError where there is nothing to film yet; later
    errors go to the studio's `failed`.
    """
    model, path = viewport.model, Path(path)
    snapshot = viewport.studio.snapshot
    if snapshot is None:
        raise UnrenderError("There is nothing to film yet: press Run, and film when the first shape has appeared.")
    count = max(2, round(seconds * FRAMES_PER_SECOND))
    cameras = turn_cameras(viewport, count, *size)
    display, relight, exposure, background = model.display, model.studio.relight, model.exposure, model.background
    thread = model.thread

    def work(handle: ProgressHandle) -> Path:
        from engine.exchange import write_video
        from engine.optimize.preview import PreviewRenderer

        renderer = PreviewRenderer(snapshot)

        def frames() -> Iterator[np.ndarray]:
            for number, camera in enumerate(cameras):
                handle.report(number / count, f"picture {number + 1} of {count}")
                future = thread.run(
                    lambda camera=camera: renderer.image(camera, display, relight, exposure, background=background).rgb
                )
                while not future.done():
                    handle.report(number / count, f"picture {number + 1} of {count}")
                    try:
                        future.result(PATIENCE)
                    except TimeoutError:
                        continue
                    except CancelledError as error:
                        raise Cancelled("the window was closed") from error
                yield future.result()

        write_video(path, frames(), FRAMES_PER_SECOND)
        return path

    viewport.studio.background("Filming a turntable", work, done)
