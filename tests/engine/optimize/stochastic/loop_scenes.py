"""Small scenes for the stochastic loop: a bumpy sphere of known shape, texture, light and cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.geometry.bench import sphere
from engine.kernels.webgpu import Gpu
from engine.optimize.stochastic import LoopOptions, LoopScene, LoopView, StochasticLoop
from engine.scene import Camera, Environment
from engine.scene.camera import look_at


def cameras(count: int, size: int) -> list[Camera]:
    """Around the unit sphere, spread over the directions by the golden angle."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - 5**0.5)
    ring = np.sqrt(1 - height**2)
    places = 3 * np.stack([ring * np.cos(angle), ring * np.sin(angle), height], 1)
    return [look_at(place, np.zeros(3), np.array([0.0, 0, 1]), 1.1 * size, size, size) for place in places]


def bumpy(vertices: np.ndarray) -> np.ndarray:
    """Vertices [V,3] of a unit sphere moved along their normals by a few smooth bumps."""
    x, y, z = vertices.T.astype(np.float64)
    radius = 1 + 0.12 * np.sin(4 * x + 1) * np.cos(5 * y) + 0.06 * np.sin(6 * z)
    return (vertices * radius[:, None]).astype(np.float32)


def sphere_scene(subdivisions: int = 3) -> LoopScene:
    """A unit icosphere without texture."""
    vertices, triangles = sphere(subdivisions)
    return LoopScene(vertices.astype(np.float32), triangles.astype(np.int32))


def globe_scene(texture: np.ndarray | None = None, columns: int = 32, rows: int = 16) -> LoopScene:
    """A sphere of longitudes and latitudes with uvs, seamless but for the poles, which stay open."""
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    polar, around = np.pi * (0.02 + 0.96 * v), 2 * np.pi * u
    points = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1)
    corner = np.arange((columns + 1) * (rows + 1)).reshape(rows + 1, columns + 1)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    uvs = np.stack([u, v], -1).reshape(-1, 2).astype(np.float32)
    flat = points.reshape(-1, 3).astype(np.float32)
    return LoopScene(flat, triangles.astype(np.int32), uvs, triangles.astype(np.int32), texture)


def texture_of(color: np.ndarray, roughness: float = 0.4, metallic: float = 0.3) -> np.ndarray:
    """[H,W,8] with base colour [H,W,3] and everything else constant."""
    rest = np.tile(np.float32([roughness, metallic, 0, 0, 1]), (*color.shape[:2], 1))
    return np.concatenate([color, rest], -1).astype(np.float32)


def blotches(size: int, seed: int = 0) -> np.ndarray:
    """[size,size,3] smooth random colours in [0.1,0.9]."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    waves = [
        sum(np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in random.uniform(-4, 4, (4, 3))) for _ in range(3)
    ]
    return np.clip(0.5 + 0.15 * np.stack(waves, -1), 0.1, 0.9).astype(np.float32)


def sunny(height: int = 8) -> Environment:
    """A light with a brighter side."""
    random = np.random.default_rng(3)
    radiance = random.uniform(0.2, 0.6, (height, 2 * height, 3)).astype(np.float32)
    radiance[: height // 2, : height // 2] += np.float32([3.0, 2.5, 2.0])
    return Environment(radiance)


def pictures(
    gpu: Gpu, scene: LoopScene, seen_by: list[Camera], shading: str = "normal_color", order: str = "vertices"
) -> list[LoopView]:
    """What the cameras see of a scene."""
    blank = [LoopView(camera, np.zeros((*camera.size, 3)), np.zeros(camera.size)) for camera in seen_by]
    loop = StochasticLoop(gpu, scene, blank, LoopOptions(order=(order,)), shading)
    images = [loop.preview(camera) for camera in seen_by]
    return [LoopView(c, image[..., :3], image[..., 3]) for c, image in zip(seen_by, images, strict=True)]


def bumpy_loop(gpu: Gpu, subdivisions: int = 3, views: int = 6, size: int = 64, **options) -> StochasticLoop:
    """A loop from the sphere toward the bumpy sphere's normals."""
    scene = sphere_scene(subdivisions)
    target = replace(scene, vertices=bumpy(scene.vertices))
    seen = pictures(gpu, target, cameras(views, size))
    return StochasticLoop(gpu, scene, seen, LoopOptions(**({"tone": "linear"} | options)), "normal_color")
