"""Captures with known truth: pictures of a mesh under an environment, with mesh, light and true maps beside them.

Shaded by Monte Carlo with shadow rays (engine/shading/monte_carlo.py), not by the split sum that will be fitted; light
that bounces off the object itself is left out. Or by any shading function, which then takes the light's place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import Cancelled, ExchangeError
from engine.exchange.atomic import AtomicFiles, write_error
from engine.exchange.hdr import read_hdr, write_hdr
from engine.exchange.ply import write_ply
from engine.exchange.read import read_asset_and_up
from engine.exchange.textures import png_bytes
from engine.scene.camera import Camera, look_at
from engine.scene.conventions import UP_AXES, gltf_from_capture, linear_to_srgb, pose_to_opengl, srgb_to_linear
from engine.scene.environment import Environment
from engine.scene.mesh import Material, Mesh
from engine.shading.monte_carlo import MonteCarlo

if TYPE_CHECKING:
    from engine.shading.blackbox import Shading

CAMERA_ANGLE = 0.6911112070083618  # the NeRF captures' horizontal field of view, radians
TEST_EVERY = 8
BRIGHT = 0.9  # sRGB value that the brightest channel reaches in 99 % of the object's pixels

Progress = Callable[[int, int, str], None]


def synthesize(
    mesh_path: Path | str,
    environment_path: Path | str | None,
    out: Path | str,
    views: int = 64,
    size: int = 256,
    samples: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    shading: Shading | None = None,
) -> Path:
    """Write a capture of a GLB, glTF, OBJ or PLY file under an equirectangular HDR; returns its folder.

    The mesh keeps its own frame and scale; the light's +Y stands where that frame's up is. Cameras lie on a spiral over
    the whole sphere around its box, every 8th is for testing. Base colour is grey 0.5 and roughness 0.5 where the file
    says nothing. One factor, `exposure` in the JSON files, scales the light so that 99 % of the object's pixels stay
    under sRGB 0.9; the light in truth/ is scaled too, so it explains the pictures as they are. With `shading` the
    pictures are what it makes of the surface, as they are; an environment is needed only if it reads the light, and
    `samples` form a square within each pixel. All files appear together at the end. Raises ExchangeError (a file that
    cannot be read or written, a folder that is not empty, a number out of range) and Cancelled.
    """
    out = Path(out)
    for name, value, low in (("views", views, 2), ("size", size, 8), ("samples", samples, 1)):
        if value < low:
            raise ExchangeError(f"{name} is {value}; use {low} or more")
    if out.is_file():
        raise ExchangeError(f"{out}: is a file; choose a folder")
    try:
        if out.exists() and any(out.iterdir()):
            raise ExchangeError(f"{out}: the folder is not empty; choose another one")
    except OSError as error:
        raise write_error(out, error) from error
    mesh, material, up = read_asset_and_up(mesh_path)
    radiance = None if environment_path is None else _radiance(environment_path)
    if radiance is None and shading is None:
        raise ExchangeError("without a shading of your own the mesh needs light; give an environment")
    if mesh.diagonal <= 0:
        raise ExchangeError(f"{mesh_path}: all its vertices lie in one point; use a mesh with a surface")

    light = None if radiance is None else Environment(radiance, gltf_from_capture(up).T)
    renderer = (
        MonteCarlo(mesh, material, light) if shading is None else _Shaded(mesh, material, shading, light, samples)
    )
    cameras = spiral_cameras(mesh, up, views, size)
    with AtomicFiles() as files:
        if progress is not None:
            progress(0, views, "measuring the exposure")
        exposure = _exposure(renderer, cameras, seed, cancelled) if shading is None else 1.0
        frames: dict[str, list] = {"train": [], "test": []}
        for index, camera in enumerate(cameras):
            split = "test" if index % TEST_EVERY == 0 else "train"
            name = f"r_{index:03d}"
            color, alpha = renderer.render(camera, samples, seed + 1 + index, cancelled=cancelled)
            files.write(out / split / f"{name}.png", png_bytes(_encode(color * exposure, alpha)))
            pose = pose_to_opengl(camera.world_from_camera).tolist()
            frames[split].append({"file_path": f"./{split}/{name}", "transform_matrix": pose})
            if split == "test":
                _write_maps(files, out / "truth", name, renderer, camera)
            if progress is not None:
                progress(index + 1, views, f"{split}/{name}.png")
        for split, entries in frames.items():
            content = {"camera_angle_x": CAMERA_ANGLE, "up": _named(up), "exposure": exposure, "frames": entries}
            files.write(out / f"transforms_{split}.json", _json(content))
        write_ply(files.temporary(out / "truth" / "mesh.ply"), mesh, up=up)
        if radiance is not None:
            write_hdr(files.temporary(out / "truth" / "environment.hdr"), radiance * np.float32(exposure))
        description = _description(up, exposure, samples, seed, mesh_path, environment_path)
        if shading is not None:
            description["made_from"]["shading"] = Path(shading.name).name
        files.write(out / "truth" / "truth.json", _json(description))
    return out


def _radiance(path: Path | str) -> np.ndarray:
    """[H,2H,3] of an environment that lights something."""
    radiance = read_hdr(path)
    if radiance.shape[1] != 2 * radiance.shape[0]:
        shape = f"{radiance.shape[1]} x {radiance.shape[0]}"
        raise ExchangeError(f"{path}: it is {shape} pixels; an equirectangular map is twice as wide as high")
    if not radiance.max() > 0:
        raise ExchangeError(f"{path}: it is black, so nothing would be seen; use a map with light in it")
    return np.maximum(radiance, 0)


class _Shaded:
    """A shading in the place of `MonteCarlo`."""

    def __init__(
        self, mesh: Mesh, material: Material, shading: Shading, light: Environment | None, samples: int
    ) -> None:
        from engine.exchange.shaded import ShadedRenderer

        self._maps = ShadedRenderer(mesh, material, shading, light, samples=max(int(np.sqrt(samples)), 1))

    def render(
        self, camera: Camera, samples: int, seed: int, cancelled: Callable[[], bool] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        if cancelled is not None and cancelled():
            raise Cancelled("synthesize was stopped; nothing was written")
        return self._maps.render(camera)

    def surface_maps(self, camera: Camera) -> dict[str, np.ndarray]:
        maps = self._maps.render_maps(camera)
        return {key: getattr(maps, key) for key in ("base_color", "roughness", "metallic", "alpha")}


def _named(up: np.ndarray) -> str | list[float]:
    """An up direction [3] as transforms.json takes it: the axis' name where it is one."""
    return next((name for name, axis in UP_AXES.items() if np.array_equal(up, axis)), up.tolist())


def spiral_cameras(mesh: Mesh, up: np.ndarray, count: int, size: int) -> list[Camera]:
    """Square views on a Fibonacci spiral over the full sphere, from the top down, that hold the whole mesh.

    `up` [3] is that of the mesh's frame.
    """
    side, _, front = gltf_from_capture(up)  # glTF's axes in the mesh's frame
    centre = mesh.box.mean(0).astype(float)
    radius = float(np.linalg.norm(mesh.vertices - centre, axis=1).max())
    distance = 1.05 * radius / np.sin(CAMERA_ANGLE / 2)
    focal = size / 2 / np.tan(CAMERA_ANGLE / 2)
    cameras = []
    for i in range(count):
        height = 1 - (2 * i + 1) / count
        turn = i * np.pi * (3 - np.sqrt(5))
        ring = np.sqrt(1 - height * height)
        direction = ring * (np.cos(turn) * side + np.sin(turn) * front) + height * up
        cameras.append(look_at(centre + distance * direction, centre, up, focal, size, size))
    return cameras


def _exposure(renderer: MonteCarlo | _Shaded, cameras: list[Camera], seed: int, cancelled) -> float:
    """What the light is multiplied by so that 99 % of the object's pixels stay under BRIGHT in every channel."""
    brightest = []
    for camera in cameras[:: max(len(cameras) // 12, 1)]:
        if cancelled is not None and cancelled():
            raise Cancelled("synthesize was stopped; nothing was written")
        small = camera.resized(64, 64)
        color, alpha = renderer.render(small, 64, seed)
        inside = alpha > 0.99
        brightest.append(color[inside].max(-1))
    values = np.concatenate(brightest)
    high = float(np.percentile(values, 99)) if len(values) else 0.0
    return float(srgb_to_linear(np.float64(BRIGHT))) / high if high > 0 else 1.0


def _encode(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Premultiplied linear colour [H,W,3] and alpha [H,W] to 8-bit RGBA: straight alpha, sRGB-encoded colour."""
    straight = linear_to_srgb(color / np.maximum(alpha, 1e-6)[..., None])
    return np.round(np.concatenate([straight, alpha[..., None]], -1) * 255).astype(np.uint8)


def _write_maps(files: AtomicFiles, folder: Path, name: str, renderer: MonteCarlo | _Shaded, camera: Camera) -> None:
    maps = renderer.surface_maps(camera)
    covered = maps["alpha"][..., None]
    files.write(folder / f"{name}_base_color.png", png_bytes(_encode(maps["base_color"] * covered, maps["alpha"])))
    for key in ("roughness", "metallic"):
        files.write(folder / f"{name}_{key}.png", png_bytes(np.round(maps[key] * 255).astype(np.uint8)))


def _description(
    up: np.ndarray, exposure: float, samples: int, seed: int, mesh: Path | str, environment: Path | str | None
) -> dict:
    """truth.json: where the truth is and what it means."""
    return {
        "mesh": "mesh.ply",
        "environment": None if environment is None else "environment.hdr",
        "world_from_environment": gltf_from_capture(up).T.tolist(),
        "up": _named(up),
        "exposure": exposure,
        "maps": {key: f"{{name}}_{key}.png" for key in ("base_color", "roughness", "metallic")},
        "made_from": {
            "mesh": Path(mesh).name,
            "environment": None if environment is None else Path(environment).name,
            "samples": samples,
            "seed": seed,
        },
    }


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
