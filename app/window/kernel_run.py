"""The child of `kernel_cache`: one tiny run through every stage and display, so that every kernel gets compiled.

Prints how far it is, 0 to 1, one number per line.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from engine.scene.camera import look_at

VIEWS, SIZE = 8, 48
OPTIONS = (
    "run.checkpoint_seconds=1000",
    "hull.resolution=24",
    "volume.steps=12",
    "volume.resolution=24",
    "volume.rays=512",
    "volume.image_size=48",
    "stereo.image_size=48",
    "stereo.resolution=24",
    "shape.steps=12",
    "shape.mask_steps=6",
    "shape.resolution=20",
    "shape.image_size=48",
    "mesh.faces=300",
    "mesh.texture_size=64",
    "mesh.occlusion_rays=2",
    "refine.steps=6",
)
SPLAT_OPTIONS = ("run.checkpoint_seconds=1000", "splats.steps=6", "splats.start=200", "export.html=false")
OBJECT_SHARE = 0.8  # of all the work


def draw_ball(folder: Path) -> None:
    """A capture of a striped ball, as RGBA photos and transforms.json."""
    focal, frames = 1.4 * SIZE, []
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    for index in range(VIEWS):
        height, turn = -0.6 + 1.5 * index / (VIEWS - 1), 2.4 * index
        ring = np.sqrt(1 - height**2)
        eye = 3.2 * np.array([np.cos(turn) * ring, np.sin(turn) * ring, height])
        camera = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]), focal, SIZE, SIZE)
        rays = np.stack([(x - SIZE / 2) / focal, (y - SIZE / 2) / focal, np.ones_like(x)], -1)
        rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ camera.world_from_camera[:3, :3].T
        half = rays @ eye
        inside = half**2 - (eye @ eye - 0.64)
        normal = (eye + rays * (-half - np.sqrt(np.maximum(inside, 0)))[..., None]) / 0.8
        shade = (0.6 + 0.2 * np.sign(np.sin(8 * normal[..., 0]))) * (0.5 + 0.4 * normal[..., 2])
        alpha = inside > 0
        color = np.where(alpha, shade, 0)[..., None] * np.array([0.4, 0.6, 0.9])
        name = f"view_{index}.png"
        cv2.imwrite(str(folder / name), (255 * np.dstack([color, alpha])).clip(0, 255).astype(np.uint8))
        opengl = camera.world_from_camera @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": name, "transform_matrix": opengl.tolist()})
    inner = {"fl_x": focal, "fl_y": focal, "cx": SIZE / 2, "cy": SIZE / 2, "w": SIZE, "h": SIZE}
    (folder / "transforms.json").write_text(json.dumps(inner | {"frames": frames}))


def main() -> None:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="unrender-kernels-") as temporary:
        folder = Path(temporary)
        (folder / "photos").mkdir()
        draw_ball(folder / "photos")
        run_recipe(folder, "object", OPTIONS, 0.0, OBJECT_SHARE)
        run_recipe(folder, "scene", SPLAT_OPTIONS, OBJECT_SHARE, 1.0)


def run_recipe(folder: Path, name: str, options: tuple[str, ...], begin: float, end: float) -> None:
    """Run a recipe on the photos in `folder` and draw every display of every stage; it is `begin` to `end` of all."""
    from engine.optimize.displays import KNOWN
    from engine.optimize.preview import PreviewRenderer
    from engine.optimize.recipe import load_recipe
    from engine.optimize.session import Session

    def draw(session: Session) -> None:
        renderer = PreviewRenderer(session.snapshot_now())
        for display in KNOWN:
            renderer.image(session.capture.frames[0].camera, display)

    with Session.create(folder / "photos", load_recipe(name, options), folder / name, "cpu") as session:
        drawn = ""
        while not session.finished:
            session.step()
            stage, done = session.stage_name, (session.stage_index + 0.5) / (len(session.recipe.stages) + 1)
            print(begin + (end - begin) * done, flush=True)
            if stage != drawn and session.stage is not None and session.index > 2:
                drawn = stage
                draw(session)
        draw(session)
        session.evaluate()
        print(end, flush=True)


if __name__ == "__main__":
    main()
