"""Videos as photographs: the sharpest frames, and files that are damaged or none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.capture.doctor import examine
from engine.capture.video import interval_of, sharpness, write_frames
from engine.errors import Cancelled, CaptureError
from tests.engine.capture.room import texture, write_video


def frames(count: int) -> list[np.ndarray]:
    """A texture that moves; every third frame is sharp."""
    made = []
    for i in range(count):
        frame = texture(3, 256)[i : i + 120, 2 * i : 2 * i + 160]
        made.append(frame if i % 3 == 1 else cv2.GaussianBlur(frame, (0, 0), 4))
    return made


@pytest.mark.parametrize("size", [200, 1000])
def test_blur_lowers_sharpness(size):
    sharp = texture(0, size)
    assert sharpness(sharp) > 2 * sharpness(cv2.GaussianBlur(sharp, (0, 0), size / 60))
    assert sharpness(np.full((50, 50, 3), 90, np.uint8)) == 0


@pytest.mark.parametrize(
    ("length", "rate", "expected"),
    [(0, 30.0, 15), (900, 30.0, 15), (36000, 30.0, 300), (60, 30.0, 2), (20, 30.0, 1), (300, 0.0, 8), (300, 1e9, 8)],
)
def test_frames_are_two_a_second_within_bounds(length, rate, expected):
    assert interval_of(length, rate) == expected


def test_the_sharpest_frame_of_each_interval_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.capture.video.LEAST_FRAMES", 10)
    monkeypatch.setattr("engine.capture.video.MOST_FRAMES", 10)
    video, told = write_video(tmp_path / "walk.mp4", frames(30)), []
    made = write_frames(video, tmp_path, lambda done, text: told.append(done))
    assert made.names == [f"frame_{i:06d}.jpg" for i in range(1, 30, 3)]
    assert made.frames == 30 and not made.warning and told == sorted(told) and told[-1] == 1
    assert cv2.imread(str(tmp_path / made.names[0])).shape == (120, 160, 3)


def test_a_video_that_breaks_off_is_used_up_to_there(tmp_path):
    video = write_video(tmp_path / "walk.mp4", frames(30))
    data = bytearray(video.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    data[start + (end - start) // 2 : end - 4] = bytes(end - 4 - start - (end - start) // 2)
    video.write_bytes(data)
    made = write_frames(video, tmp_path)
    assert 0 < made.frames < 27 and f"breaks off after {made.frames} of 30 frames" in made.warning


def test_what_is_no_video_is_said(tmp_path):
    video = tmp_path / "walk.mp4"
    for data in (b"", b"no video at all" * 100, write_video(tmp_path / "sound.mp4", frames(9)).read_bytes()[:2000]):
        video.write_bytes(data)
        with pytest.raises(CaptureError, match=r"walk\.mp4: (cannot be decoded as a video|no frame can be decoded)"):
            write_frames(video, tmp_path)
    assert "video without camera poses" in "\n".join(examine(video).lines())


def test_reading_a_video_can_be_cancelled(tmp_path):
    video = write_video(tmp_path / "walk.mp4", frames(9))

    def cancelled():
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        write_frames(video, tmp_path, cancelled=cancelled)
