"""A video as photographs: the sharpest frame of each of many equal intervals."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import CaptureError

MOST_FRAMES, LEAST_FRAMES = 120, 40  # taken from a video; fewer where it has fewer
FRAMES_PER_SECOND = 2.0
SHARPNESS_SIZE = 640  # pixels of the longer side at which sharpness is measured
JPEG_QUALITY = 98
NO_FRAME = "{}: no frame can be decoded; the file is damaged or empty; copy it again"


@dataclass(frozen=True)
class VideoFrames:
    """What was taken from a video."""

    names: list[str]  # in the order of time
    frames: int  # decoded in all
    warning: str  # a sentence where not all of it could be decoded, else ''


def sharpness(pixels: np.ndarray) -> float:
    """Variance of the Laplacian of an image [H,W,3] uint8; motion blur and defocus lower it."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, SHARPNESS_SIZE / max(height, width))
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def interval_of(frames: int, rate: float) -> int:
    """Video frames per photo taken: FRAMES_PER_SECOND, within LEAST_FRAMES and MOST_FRAMES of the whole.

    `frames` is the video's length and `rate` its frames per second, 0 where it does not say.
    """
    rate = rate if 1 <= rate <= 1000 else 30.0
    if frames <= 0:
        return max(1, round(rate / FRAMES_PER_SECOND))
    wanted = min(max(round(frames / rate * FRAMES_PER_SECOND), LEAST_FRAMES), MOST_FRAMES)
    return max(1, -(-frames // wanted))


def require_video(video: Path) -> None:
    """Raise CaptureError for a file that is no video or whose first frame is damaged."""
    reader = _reader(video)
    try:
        if not reader.read()[0]:
            raise CaptureError(NO_FRAME.format(video))
    finally:
        reader.release()


def _reader(video: Path):
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what FFmpeg would print, the errors here say
    reader = cv2.VideoCapture(str(video))
    if not reader.isOpened():
        raise CaptureError(f"{video}: cannot be decoded as a video; save it as MP4 (H.264), or give its frames")
    return reader


def write_frames(
    video: Path,
    folder: Path,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], None] | None = None,
) -> VideoFrames:
    """Write the sharpest frame of each interval of `video` into `folder` as JPEG, turned as the video asks.

    `cancelled` is called for each frame and may raise. Raises CaptureError for a file that is no video or whose first
    frames are damaged; one that breaks off is used up to there, with a warning.
    """
    import cv2

    reader = _reader(video)
    try:
        claimed, rate = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)), float(reader.get(cv2.CAP_PROP_FPS))
        interval = interval_of(claimed, rate)
        names: list[str] = []
        count, best, best_value, best_index = 0, None, -1.0, 0

        def keep() -> None:
            name = f"frame_{best_index:06d}.jpg"
            if not cv2.imwrite(str(folder / name), best, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
                raise CaptureError(f"{folder / name}: cannot be written; free some space")
            names.append(name)

        while True:
            if cancelled is not None:
                cancelled()
            good, pixels = reader.read()
            if not good or pixels is None:
                break
            value = sharpness(pixels)
            if value > best_value:
                best, best_value, best_index = pixels, value, count
            count += 1
            if count % interval == 0:
                keep()
                best, best_value = None, -1.0
                if progress is not None:
                    progress(min(count / claimed, 1.0) if claimed > 0 else 0.0, f"video frame {count}")
        if best is not None:
            keep()
    finally:
        reader.release()
    if not names:
        raise CaptureError(NO_FRAME.format(video))
    warning = ""
    if claimed > 0 and count < 0.9 * claimed:
        warning = f"the video breaks off after {count} of {claimed} frames; it may be damaged, and is used up to there"
    return VideoFrames(names, count, warning)
