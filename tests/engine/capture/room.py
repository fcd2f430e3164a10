"""Photographs of the corner of a room with textured walls, drawn by homographies, with known cameras."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from engine.scene.camera import Camera, look_at

SIDE = 4.0  # of the square walls, which meet at the origin
WALLS = ((0, 1), (1, 2), (2, 0))  # axes that span them


@cache
def texture(seed: int, size: int = 384) -> np.ndarray:
    """[size,size,3] uint8 noise of several scales."""
    generator = np.random.default_rng(seed)
    total = np.zeros((size, size, 3), np.float32)
    for cells, weight in ((6, 0.5), (24, 0.8), (64, 1.0)):
        noise = generator.random((cells, cells, 3)).astype(np.float32) - 0.5
        total += weight * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 140 * total, 0, 255).astype(np.uint8)


def cameras(count: int, width: int = 320, height: int = 240, focal: float = 330.0) -> list[Camera]:
    """Cameras on an arc before the corner, at changing heights."""
    made = []
    for i in range(count):
        angle = np.pi / 4 + 0.55 * (i / max(count - 1, 1) - 0.5) * 2
        place = np.array([8.5 * np.cos(angle), 8.5 * np.sin(angle), 4.5 + 1.2 * np.sin(2.1 * i)])
        made.append(look_at(place, np.array([1.2, 1.2, 1.2]), np.array([0.0, 0.0, 1.0]), focal, width, height))
    return made


def photo(camera: Camera, fine: int = 2) -> np.ndarray:
    """[H,W,3] uint8 what the camera sees; black beside the walls."""
    pose, size = camera.camera_from_world, (camera.width * fine, camera.height * fine)
    matrix = np.diag([fine, fine, 1.0]) @ np.array(
        [[camera.focal[0], 0, camera.centre[0]], [0, camera.focal[1], camera.centre[1]], [0, 0, 1]]
    )
    out = np.zeros((size[1], size[0], 3), np.uint8)
    for seed, (first, second) in enumerate(WALLS):
        pixels = texture(seed)
        span = np.zeros((3, 3))
        span[first, 0] = span[second, 1] = SIDE / len(pixels)
        plane = pose[:3, :3] @ span
        plane[:, 2] = pose[:3, 3]
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])  # OpenCV counts pixel centres from 0
        homography = np.linalg.inv(half) @ matrix @ plane @ half
        seen = cv2.warpPerspective(np.full(pixels.shape[:2], 255, np.uint8), homography, size)
        drawn = cv2.warpPerspective(pixels, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[seen > 127] = drawn[seen > 127]
    return cv2.resize(out, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def write_photos(folder: Path, made: list[Camera], suffix: str = ".png") -> Path:
    """The photos of these cameras as 000.png, 001.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, camera in enumerate(made):
        cv2.imwrite(str(folder / f"{number:03d}{suffix}"), photo(camera))
    return folder


def write_video(path: Path, frames: list[np.ndarray], rate: float = 10.0) -> Path:
    """An MP4 of frames [H,W,3] uint8."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path
