"""A tiny masked capture drawn by the test: two balls grown together, seen from all around."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from engine.scene.camera import look_at

BALLS = ((np.array([0.0, 0.0, -0.15]), 0.6), (np.array([0.35, 0.1, 0.4]), 0.38))
RECIPE = {  # options that make a run of it take seconds
    "run.checkpoint_seconds": 0,
    "hull.resolution": 24,
    "volume.steps": 30,
    "volume.resolution": 24,
    "volume.rays": 512,
    "volume.image_size": 48,
    "stereo.image_size": 0,
    "shape.steps": 30,
    "shape.mask_steps": 10,
    "shape.resolution": 20,
    "mesh.faces": 600,
    "mesh.texture_size": 64,
    "mesh.occlusion_rays": 4,
    "refine.steps": 30,
}


def draw_capture(folder: Path, views: int = 10, size: int = 48) -> Path:
    """Write `views` RGBA photos of `size` px and their transforms.json; every 8th is for testing, as usual."""
    folder.mkdir(parents=True, exist_ok=True)
    focal, frames = 1.4 * size, []
    for index in range(views):
        height, turn = -0.6 + 1.5 * index / (views - 1), 2.4 * index
        eye = 3.2 * np.array([np.cos(turn) * np.sqrt(1 - height**2), np.sin(turn) * np.sqrt(1 - height**2), height])
        camera = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]), focal, size, size)
        name = f"photo_{index:02}.png"
        cv2.imwrite(str(folder / name), _photo(camera.world_from_camera, focal, size))
        opengl = camera.world_from_camera @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": name, "transform_matrix": opengl.tolist()})
    intrinsics = {"fl_x": focal, "fl_y": focal, "cx": size / 2, "cy": size / 2, "w": size, "h": size}
    (folder / "transforms.json").write_text(json.dumps(intrinsics | {"frames": frames}))
    return folder


def _photo(world_from_camera: np.ndarray, focal: float, size: int) -> np.ndarray:
    """[H,W,4] uint8 BGRA."""
    y, x = np.mgrid[:size, :size] + 0.5
    rays = np.stack([(x - size / 2) / focal, (y - size / 2) / focal, np.ones_like(x)], -1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ world_from_camera[:3, :3].T
    eye = world_from_camera[:3, 3]
    nearest, normal = np.full(x.shape, np.inf), np.zeros((*x.shape, 3))
    for centre, radius in BALLS:
        half = rays @ (eye - centre)
        inside = half**2 - (np.sum((eye - centre) ** 2) - radius**2)
        distance = np.where(inside > 0, -half - np.sqrt(np.maximum(inside, 0)), np.inf)
        closer = distance < nearest
        reached = eye + rays * np.where(np.isfinite(distance), distance, 0)[..., None]
        nearest = np.where(closer, distance, nearest)
        normal = np.where(closer[..., None], (reached - centre) / radius, normal)
    light = 0.35 + 0.65 * np.maximum(normal @ np.array([0.48, 0.36, 0.8]), 0)
    stripes = 0.75 + 0.25 * np.sign(np.sin(9 * normal[..., 0]) * np.sin(9 * normal[..., 1]))
    color = np.array([0.3, 0.55, 0.85]) * (light * stripes)[..., None]
    alpha = np.isfinite(nearest)
    return (255 * np.dstack([np.where(alpha[..., None], color, 0), alpha])).round().astype(np.uint8)
