"""Small captures that the tests make themselves: views of a ball with soft, exactly known masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.scene.camera import Camera, look_at
from engine.scene.conventions import pose_to_opengl


def spiral(
    count: int, distance: float = 4.0, size: int = 64, focal: float = 80.0, target=(0.0, 0.0, 0.0)
) -> list[Camera]:
    """Cameras all around, looking at `target`."""
    cameras = []
    for i in range(count):
        z = 1 - 2 * (i + 0.5) / count
        angle = i * np.pi * (3 - np.sqrt(5))
        position = distance * np.array([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z])
        cameras.append(look_at(position + target, target, np.array([0.0, 0.0, 1.0]), focal, size, size))
    return cameras


def ball_mask(camera: Camera, centre=(0.0, 0.0, 0.0), radius: float = 1.0, samples: int = 4) -> np.ndarray:
    """[H,W] float32 coverage of a ball."""
    fine = camera.resized(camera.width * samples, camera.height * samples)
    origin, directions = fine.rays()
    along = directions @ (np.asarray(centre) - origin)
    away = np.linalg.norm(np.asarray(centre) - origin - along[..., None] * directions, axis=-1)
    hit = ((away < radius) & (along > 0)).astype(np.float32)
    return hit.reshape(camera.height, samples, camera.width, samples).mean((1, 3))


def write_capture(folder: Path, count: int = 9, masks: str = "alpha", **extra) -> Path:
    """A transforms.json capture of a red ball; `masks` is alpha, files or none; `extra` goes into the JSON."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for number, camera in enumerate(spiral(count)):
        coverage = np.rint(ball_mask(camera) * 255).astype(np.uint8)
        pixels = np.zeros((*camera.size, 4), np.uint8)
        pixels[..., :3], pixels[..., 3] = (200, 40, 20), coverage
        if masks != "alpha":
            pixels[coverage == 0, :3] = (0, 255, 0)
            pixels = pixels[..., :3]
        name = f"images/{number:03d}.png"
        Image.fromarray(pixels).save(folder / name)
        frame = {"file_path": name, "transform_matrix": pose_to_opengl(camera.world_from_camera).tolist()}
        if masks == "files":
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(coverage).save(folder / f"masks/{number:03d}.png")
            frame["mask_path"] = f"masks/{number:03d}.png"
        frames.append(frame)
    document = {"fl_x": 80.0, "w": 64, "h": 64, **extra, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    """A capture of nine views of a ball with alpha."""
    return write_capture(tmp_path / "ball")


@pytest.fixture
def make_ball(tmp_path: Path) -> Callable[..., Path]:
    """`write_capture` into a folder of the test's own."""
    return lambda *args, **kwargs: write_capture(tmp_path / "made", *args, **kwargs)


@pytest.fixture
def edit() -> Callable[[Path, Callable[[dict], None]], None]:
    """Change a capture's transforms.json in place."""

    def change(folder: Path, with_document: Callable[[dict], None]) -> None:
        file = folder / "transforms.json"
        document = json.loads(file.read_text())
        with_document(document)
        file.write_text(json.dumps(document))

    return change


@pytest.fixture
def ball_views() -> Callable[..., tuple[list[Camera], list[np.ndarray]]]:
    """Cameras around a ball and their masks: (count, centre, radius, camera options) -> (cameras, masks)."""

    def views(count: int = 24, centre=(0.0, 0.0, 0.0), radius: float = 1.0, **cameras):
        made = spiral(count, **cameras)
        return made, [ball_mask(camera, centre, radius) for camera in made]

    return views
