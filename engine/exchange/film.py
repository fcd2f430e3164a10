"""Cameras around an object, and the images and films made with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.atomic import AtomicFiles, write_file
from engine.exchange.textures import png_bytes
from engine.scene.camera import Camera, look_at
from engine.scene.conventions import gltf_from_capture

_CHECK_DISK = "check that the disk is not full and the folder can be written"


def turntable(
    box: np.ndarray,
    up: np.ndarray,
    count: int,
    size: tuple[int, int],
    elevation: float = 20.0,
    view_angle: float = 35.0,
) -> list[Camera]:
    """`count` cameras evenly around `box` [2,3], looking at its centre, all of it in view; size is (height, width).

    The first stands on the side that glTF calls the front. Angles in degrees; `view_angle` spans the shorter side.
    """
    height, width = size
    box = np.asarray(box, float)
    centre, radius = box.mean(0), max(float(np.linalg.norm(box[1] - box[0])) / 2, 1e-9)
    half = np.radians(view_angle) / 2
    distance = 1.02 * radius / np.sin(half)
    focal = min(height, width) / 2 / np.tan(half)
    world_from_gltf = gltf_from_capture(up).T
    cameras = []
    for angle in np.arange(count) / count * 2 * np.pi:
        level, lift = np.cos(np.radians(elevation)), np.sin(np.radians(elevation))
        direction = world_from_gltf @ np.array([np.sin(angle) * level, lift, np.cos(angle) * level])
        cameras.append(look_at(centre + distance * direction, centre, np.asarray(up, float), focal, width, height))
    return cameras


def write_png(path: Path | str, image: np.ndarray) -> None:
    """Write uint8 [H,W], [H,W,3] or [H,W,4] (straight alpha, sRGB); raises ExchangeError."""
    write_file(path, png_bytes(image))


def write_video(path: Path | str, frames: Iterable[np.ndarray], frames_per_second: float = 30.0) -> None:
    """Write uint8 frames [H,W,3] as H.264 in MP4; odd sides grow by one pixel. Raises ExchangeError."""
    import imageio_ffmpeg

    with AtomicFiles() as files:
        temporary = files.temporary(path)
        writer, count = None, 0
        try:
            for frame in frames:
                frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
                if writer is None:
                    writer = imageio_ffmpeg.write_frames(
                        str(temporary),
                        (frame.shape[1], frame.shape[0]),
                        fps=frames_per_second,
                        codec="libx264",
                        macro_block_size=2,
                        output_params=["-crf", "18", "-preset", "fast", "-movflags", "+faststart"],
                        ffmpeg_log_level="quiet",
                    )
                    writer.send(None)
                writer.send(np.ascontiguousarray(frame))
                count += 1
        except OSError as error:  # ffmpeg went away
            raise ExchangeError(f"{path}: the film broke off after {count} frames; {_CHECK_DISK}") from error
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise ExchangeError(f"{path}: there are no frames to write")
        try:  # ffmpeg's own exit status is not passed on
            written = imageio_ffmpeg.count_frames_and_secs(str(temporary))[0]
        except (RuntimeError, OSError):
            written = 0
        if written != count:
            raise ExchangeError(f"{path}: only {written} of {count} frames could be written; {_CHECK_DISK}")
