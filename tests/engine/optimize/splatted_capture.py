"""Captures drawn from known splats before a known sky, with or without their true depth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch

from engine.optimize.splat_backdrop import backdrop_image
from engine.scene import Backdrop, Camera, Gaussians
from engine.scene.camera import look_at
from engine.scene.conventions import gltf_from_capture, pose_to_opengl
from engine.scene.gaussians import CONSTANT
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors

UP = np.array([0.0, 0.0, 1.0])


def wall(count: int = 400, seed: int = 0) -> Gaussians:
    """Opaque splats on the inside of half a cylinder: seen well, but so plainly coloured that depth is hard to tell."""
    random = np.random.default_rng(seed)
    angle, height = random.uniform(-1.2, 1.2, count), random.uniform(-1, 1, count)
    means = np.stack([2 * np.cos(angle), 2 * np.sin(angle), height], 1)
    colors = 0.5 + 0.25 * np.stack([np.sin(2 * angle), np.cos(3 * angle), height], 1)
    return Gaussians(
        means.astype(np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        np.full((count, 3), np.log(0.12), np.float32),
        np.full(count, 4.0, np.float32),
        ((colors - 0.5) / CONSTANT)[:, None].astype(np.float32),
    )


def sky(rows: int = 16) -> Backdrop:
    """Blue above, brown below, a bright side."""
    v, u = np.mgrid[0:rows, 0 : 2 * rows] / np.array([rows, 2 * rows])[:, None, None]
    colors = np.stack([0.3 + 0.4 * v, 0.5 + 0.1 * np.cos(2 * np.pi * u), 0.9 - 0.6 * v], -1)
    return Backdrop(colors.astype(np.float32), gltf_from_capture(UP).T)


def cameras(views: int = 8, size: int = 48) -> list[Camera]:
    """Near the axis, looking at the wall, with sky above and below it."""
    found = []
    for number in range(views):
        turn = -0.6 + 1.2 * number / max(views - 1, 1)
        position = np.array([-0.6, 1.1 * np.sin(3 * turn), 0.4 * np.cos(5 * turn)])
        found.append(look_at(position, np.array([2.0, 2 * np.sin(turn), 0.2]), UP, 0.55 * size, size, size))
    return found


def draw(folder: Path, splats: Gaussians, backdrop: Backdrop | None, depth: bool = False, size: int = 48) -> Path:
    """A capture of `cameras` in `folder`, transforms.json's z up; depth in millimetres where something opaque is."""
    folder.mkdir(parents=True)
    frames, views = [], cameras(size=size)
    for number, camera in enumerate(views):
        behind = None
        if backdrop is not None:
            behind = backdrop_image(torch.from_numpy(backdrop.colors), backdrop.world_from_environment, camera)
        image = splatter("numba").render(SplatTensors.of(splats), camera, SplatOptions(behind, depth=True))
        pixels = (image.color.numpy().clip(0, 1) * 255 + 0.5).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels[..., ::-1])
        frame = {"file_path": f"{number}.png", "transform_matrix": pose_to_opengl(camera.world_from_camera).tolist()}
        if depth:
            alpha = image.alpha.numpy()
            millimetres = np.where(alpha > 0.95, image.depth.numpy() / np.maximum(alpha, 1e-6) * 1000, 0)
            cv2.imwrite(str(folder / f"{number}_depth.png"), (millimetres + 0.5).astype(np.uint16))
            frame["depth_file_path"] = f"{number}_depth.png"
        frames.append(frame)
    document = {"fl_x": views[0].focal[0], "w": size, "h": size, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder
