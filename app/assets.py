"""`unrender eval`, `export`, `render` and `synthesize`: what is done with assets once a run has made them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import CaptureError, ExchangeError, ProjectError

if TYPE_CHECKING:
    from app.command_line import Synthesize
    from engine.scene import Camera


LARGEST_SIDE = 16384  # pixels of a picture
MOST_STOPS = 32.0


def _check_side(size: int) -> None:
    if size > LARGEST_SIDE:
        raise ExchangeError(f"--size {size}: pictures have at most {LARGEST_SIDE} pixels a side; give a smaller size")


def evaluate(project: Path, reference: Path | None) -> int:
    """Measure the exported asset and update metrics.json."""
    from app.progress import progress
    from app.runs import summary
    from engine.optimize.evaluate import evaluate_session
    from engine.optimize.session import Session

    with Session.open(project) as session:
        with progress() as show:
            session.on_message = show
            metrics = evaluate_session(session, reference)
        print(summary(metrics))
        print(f"wrote {session.project.folder / 'metrics.json'}")
    return 0


def export(project: Path, out: Path | None) -> int:
    """Write the scene of the newest checkpoint as an asset."""
    from app.progress import progress
    from engine.optimize.session import Session
    from engine.optimize.stages.export import ExportStage

    with Session.open(project) as session, progress() as show:
        session.context.notify = show
        if out is not None:
            session.context.exports = out
        stage = ExportStage()
        stage.begin(session.context)
        stage.finish()
        print(f"wrote {session.context.exports}")
    return 0


def render(
    source: Path,
    out: Path,
    view: str | None,
    frames: int,
    size: int,
    environment: Path | None,
    exposure: float = 0.0,
    tone_map: bool = False,
) -> int:
    """Draw a project's asset, or a file's, as one PNG or as an MP4 turntable."""
    from engine.exchange import AssetRenderer, read_asset, read_environment, turntable, write_png, write_video
    from engine.optimize.evaluate import on_white

    suffix = out.suffix.lower()
    if suffix not in (".png", ".mp4"):
        raise ExchangeError(f"{out}: give a file that ends in .png for a picture or .mp4 for a turntable")
    if size < 1 or frames < 1:
        raise ExchangeError(f"--size {size} --frames {frames}: both must be at least 1")
    _check_side(size)
    if not -MOST_STOPS <= exposure <= MOST_STOPS:
        raise ExchangeError(f"--exposure {exposure:g}: it must lie between -{MOST_STOPS:g} and {MOST_STOPS:g} stops")
    if not source.exists():
        raise ExchangeError(f"{source}: there is no such project folder or file; name one to draw")
    if source.is_dir():
        mesh, material, light, up, named = _project_scene(source, view)
    else:
        if view is not None:
            raise ProjectError(f"--view {view}: {source} is a file and has no photos; give the project folder instead")
        (mesh, material), up, light, named = read_asset(source), np.array([0.0, 1.0, 0.0]), None, None
    if environment is not None:
        light = read_environment(environment, up)
    if light is None:
        import assets

        light = read_environment(assets.environment("studio"), up)
    renderer = AssetRenderer(mesh, material, light)

    def picture(camera: Camera) -> np.ndarray:
        color, alpha = renderer.render(camera)
        straight = color / np.maximum(alpha, 1e-6)[..., None]
        if exposure or tone_map:
            straight = _viewed(straight, exposure, tone_map)
        return (np.clip(on_white(straight, alpha), 0, 1) * 255 + 0.5).astype(np.uint8)

    if suffix == ".png":
        camera = named or turntable(mesh.box, up, 1, (size, size))[0]
        write_png(out, picture(camera))
    else:
        write_video(out, _drawn(picture, turntable(mesh.box, up, frames, (size, size))))
    print(f"wrote {out}")
    return 0


def _viewed(linear: np.ndarray, stops: float, tone_map: bool) -> np.ndarray:
    """Linear colour [H,W,3], brightened by `stops` and, where asked for, with its highlights compressed."""
    import torch

    from engine.shading.tone import expose, view_tonemap

    exposed = expose(torch.from_numpy(linear), stops)
    return (view_tonemap(exposed) if tone_map else exposed).numpy()


def _drawn(picture, cameras: list[Camera]) -> Iterator[np.ndarray]:
    for number, camera in enumerate(cameras, 1):
        yield picture(camera)
        if sys.stdout.isatty() or number == len(cameras):
            start, end = ("\r" if sys.stdout.isatty() else ""), ("" if number < len(cameras) else "\n")
            print(f"{start}frame {number} of {len(cameras)}", end=end, flush=True)


def _project_scene(folder: Path, view: str | None):
    """(mesh, material, light, up, the named photo's camera or None) of a project's newest checkpoint."""
    from engine.capture import open_capture
    from engine.optimize.capture_options import capture_options
    from engine.optimize.checkpoint import read_checkpoint
    from engine.optimize.project import Project
    from engine.optimize.recipe import Recipe
    from engine.optimize.session import scene_of_checkpoint

    project = Project.open(folder, Recipe, lock=False)
    checkpoint = read_checkpoint(project.checkpoints)
    scene = scene_of_checkpoint(checkpoint) if checkpoint else None
    if scene is None or scene.mesh is None or scene.material is None:
        raise ProjectError(f"{folder}: there is no textured mesh yet; resume the run until its stage mesh is done")
    capture = open_capture(project.capture_path, capture_options(project.recipe.capture))
    if view is None:
        return scene.mesh, scene.material, scene.environment, capture.up, None
    cameras = {frame.name: frame.camera for frame in capture.frames}
    if view not in cameras:
        some = ", ".join(sorted(cameras)[:5])
        raise CaptureError(f"--view {view}: no photo of {project.capture_path} has this name; there are {some}, ...")
    return scene.mesh, scene.material, scene.environment, capture.up, cameras[view]


def synthesize_capture(arguments: Synthesize) -> int:
    """Make a capture with known truth, reporting each picture."""
    from engine.exchange.synthesize import synthesize

    shading = None
    if arguments.shading is not None:
        from engine.shading.blackbox import SHIPPED, allow_scripts, open_shading

        allow_scripts()  # the file stands in the command itself
        own = arguments.shading not in SHIPPED
        shading = open_shading("pbr" if own else arguments.shading, arguments.shading if own else "")
        shading.check()

    def show(done: int, total: int, text: str) -> None:
        print(f"{done}/{total} {text}", flush=True)

    _check_side(arguments.size)
    synthesize(
        arguments.mesh,
        arguments.environment,
        arguments.out,
        views=arguments.views,
        size=arguments.size,
        samples=arguments.samples,
        seed=arguments.seed,
        progress=show,
        shading=shading,
    )
    print(f"wrote {arguments.out}")
    return 0
