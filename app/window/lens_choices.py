"""What the gradient lens can be put on in the window, and what a click on the surface means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from app.window.studio_signals import Picked
    from engine.capture import Capture
    from engine.optimize.snapshot import SceneSnapshot
    from engine.scene import Camera

FACING = 0.25  # cosine from which a photo is taken to see a point's front

KINDS = {
    "vertex": ("Vertex", "Where a corner of the surface is"),
    "base_color": ("Base colour", "A texel of the surface's own colour"),
    "roughness": ("Roughness", "A texel of the roughness map"),
    "metallic": ("Metallic", "A texel of the metallic map"),
    "normal": ("Normal map", "A texel of the fine relief"),
    "light": ("Light", "Light from one direction"),
}
COLORS = (("All colours", None), ("Red", 0), ("Green", 1), ("Blue", 2))
ALONG: dict[str, tuple[tuple[str, Any], ...]] = {
    "vertex": (("Along its normal", "normal"), ("Along X", "x"), ("Along Y", "y"), ("Along Z", "z")),
    "base_color": COLORS,
    "roughness": (("Its value", 0),),
    "metallic": (("Its value", 0),),
    "normal": (("Slope along U", 0), ("Slope along V", 1)),
    "light": COLORS,
}


@dataclass(frozen=True)
class Place:
    """What was picked on the surface: both a vertex and a texel, so that the kind may change afterwards."""

    vertex: int
    texel: tuple[int, int] | None  # column, row; None without textures
    vertices: int  # of the mesh, and
    side: int  # texels along the texture: another surface needs another pick


def place_of(picked: Picked) -> Place:
    """The nearest corner of the triangle that was picked, and the texel there."""
    mesh, material = picked.snapshot.mesh, picked.snapshot.material
    vertex = int(mesh.triangles[picked.triangle][int(np.argmax(picked.weights))])
    texel, side = None, texture_side(picked.snapshot)
    if side:
        uv = np.asarray(picked.weights) @ mesh.uvs[mesh.uv_triangles[picked.triangle]]
        column, row = (int(np.clip(value * side, 0, side - 1)) for value in uv)
        texel = column, row
    return Place(vertex, texel, len(mesh.vertices), side if material is not None else 0)


def texture_side(snapshot: SceneSnapshot | None) -> int:
    """Texels along the textures as they are optimized; 0 where there are none."""
    if snapshot is None or snapshot.material is None or snapshot.mesh is None or snapshot.mesh.uvs is None:
        return 0
    material = snapshot.material
    maps = (material.base_color, material.occlusion_roughness_metallic, material.normal)
    return max(max(values.shape[:2]) for values in maps if values is not None)


def facing_photo(picked: Picked, capture: Capture, frame: int) -> int:
    """The photo `frame` where its camera looks at the front of what was picked, else the one that faces it most."""
    mesh = picked.snapshot.mesh
    a, b, c = mesh.vertices[mesh.triangles[picked.triangle]].astype(float)
    normal, point = np.cross(b - a, c - a), np.asarray(picked.weights) @ np.stack([a, b, c])

    def facing(camera: Camera) -> float:
        away, (pixel, depth) = camera.position - point, camera.project(point[None])
        seen = depth[0] > 0 and (0 <= pixel[0]).all() and (pixel[0] < (camera.width, camera.height)).all()
        length = float(np.linalg.norm(away) * np.linalg.norm(normal))
        return float(normal @ away) / max(length, 1e-30) if seen else -2.0

    if facing(capture.frames[frame].camera) > FACING:
        return frame
    return max(range(len(capture.frames)), key=lambda index: facing(capture.frames[index].camera))


def shading_remark(recipe: Any) -> str:
    """A further line where stages of `recipe` draw the surface by another shading than the lens does; else empty."""
    name = recipe.shading.file or recipe.shading.name
    if name == "pbr" or not {"blackbox", "subdivision"} & set(recipe.stages):
        return ""
    return f"\nThe lens draws with the engine's own shading, not with {Path(name).name}."
