"""`unrender eval`, `export`, `render` and `synthesize`: what is done with assets once a run has made them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import CaptureError, ExchangeError, ProjectError
from engine.scene.camera import looked_at

if TYPE_CHECKING:
    from app.command_line import Synthesize
    from engine.capture import Capture
    from engine.optimize.evaluate import Renderer
    from engine.optimize.recipe import Recipe
    from engine.optimize.scene_state import SceneState
    from engine.scene import Backdrop, Camera, Gaussians


LARGEST_SIDE = 16384  # pixels of a picture
MOST_STOPS = 32.0
SEEN_SHARE = 0.295  # radius over distance of what a turntable of 35 degrees holds (engine/exchange/film.py)


def _check_side(size: int) -> None:
    if size > LARGEST_SIDE:
        raise ExchangeError(f"--size {size}: pictures have at most {LARGEST_SIDE} pixels a side; give a smaller size")


def evaluate(project: Path, reference: Path | None, capture: Path | None = None) -> int:
    """Measure the exported asset and update metrics.json."""
    from app.progress import progress
    from app.runs import summary
    from engine.optimize.evaluate import evaluate_session
    from engine.optimize.session import Session

    with Session.open(project, capture=capture) as session:
        with progress() as show:
            session.on_message = show
            metrics = evaluate_session(session, reference)
        print(summary(metrics))
        print(f"wrote {session.project.folder / 'metrics.json'}")
    return 0


def export(project: Path, out: Path | None, overwrite: bool = False, capture: Path | None = None) -> int:
    """Write the scene of the newest checkpoint as an asset, or a file's splats in the other formats."""
    if out is not None:
        _check_out(out, overwrite)
    if project.is_file():
        from app.splat_conversion import convert

        return convert(project, out, capture)
    from app.progress import progress
    from engine.optimize.export_scene import export_scene
    from engine.optimize.project import Project
    from engine.optimize.recipe import Recipe
    from engine.optimize.saved_scene import saved_context

    with closing(Project.open(project, Recipe)) as opened, progress() as show:
        context = saved_context(opened, capture, show)
        if capture is not None:
            opened.save()
        if out is not None:
            context.exports = out
        export_scene(context)
        print(f"wrote {context.exports}")
    return 0


def _check_out(folder: Path, overwrite: bool) -> None:
    """Raise ExchangeError for a file, and for a folder with files in it unless they may be replaced."""
    if folder.exists() and not folder.is_dir():
        raise ExchangeError(f"{folder}: is a file; --out needs a folder")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ExchangeError(f"{folder}: is not empty; choose another --out, or give --overwrite")


def render(
    source: Path,
    out: Path,
    view: str | None,
    frames: int,
    size: int,
    environment: Path | None,
    exposure: float = 0.0,
    tone_map: bool = False,
    capture: Path | None = None,
) -> int:
    """Draw a project's asset or splats, or a file's, as one PNG or as an MP4 turntable."""
    from engine.exchange import turntable, write_png, write_video
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
    if view is not None and not source.is_dir():
        raise ProjectError(f"--view {view}: {source} is a file and has no photos; give the project folder instead")
    if capture is not None and not source.is_dir():
        raise ProjectError(f"--capture {capture}: {source} is a file and has no photos; leave it out")
    shown = _of_project(source, view, environment, capture) if source.is_dir() else _of_file(source, environment)

    def picture(camera: Camera) -> np.ndarray:
        color, alpha = shown.renderer.render(camera)
        straight = color / np.maximum(alpha, 1e-6)[..., None]
        if exposure or tone_map:
            straight = _viewed(straight, exposure, tone_map)
        return (np.clip(on_white(straight, alpha), 0, 1) * 255 + 0.5).astype(np.uint8)

    def around(count: int) -> list[Camera]:
        return turntable(shown.box, shown.up, count, (size, size), shown.elevation)

    if suffix == ".png":
        _tell_unused(frames, size, shown.camera)
        write_png(out, picture(shown.camera or around(1)[0]))
    else:
        write_video(out, _drawn(picture, around(frames)))
    print(f"wrote {out}")
    return 0


def _tell_unused(frames: int, size: int, camera: Camera | None) -> None:
    """Say which of a turntable's options were given for one picture, which a photo's `camera` may draw."""
    from app.command_line import Render

    if frames != Render.frames:
        print(f"--frames {frames} is not used: a .png is one picture", file=sys.stderr)
    if camera is not None and size != Render.size:
        print(f"--size {size} is not used: the picture is as large as its photo", file=sys.stderr)


@dataclass(frozen=True)
class _Shown:
    """What is drawn, and from where."""

    renderer: Renderer
    box: np.ndarray  # [2,3] that a turntable goes around
    up: np.ndarray  # [3]
    camera: Camera | None = None  # of one picture; None: the turntable's first
    elevation: float = 20.0  # of the turntable, degrees


def _of_file(path: Path, environment: Path | None) -> _Shown:
    from engine.exchange import holds_splats, read_asset_and_up, read_splats, splats_up

    if holds_splats(path):
        from engine.optimize.splat_renderer import SplatRenderer

        _check_unlit(path, environment)
        splats = read_splats(path, lambda text: print(text, file=sys.stderr))
        return _Shown(SplatRenderer(splats), splats.most_box, splats_up(path))
    mesh, material, up = read_asset_and_up(path)
    return _lit(mesh, material, None, up, None, environment)


def _lit(mesh, material, light, up: np.ndarray, camera: Camera | None, environment: Path | None) -> _Shown:
    from engine.exchange import AssetRenderer, read_environment

    if environment is not None:
        light = read_environment(environment, up)
    if light is None:
        import assets

        light = read_environment(assets.environment("studio"), up)
    return _Shown(AssetRenderer(mesh, material, light), mesh.box, up, camera)


def _check_unlit(source: Path, environment: Path | None) -> None:
    if environment is not None:
        raise ExchangeError(f"--environment {environment}: {source} holds splats, whose light is fixed; leave it out")


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


def _of_project(folder: Path, view: str | None, environment: Path | None, moved: Path | None) -> _Shown:
    """The scene of a project's newest checkpoint, from the named photo's camera where one is named."""
    from engine.capture import open_capture
    from engine.optimize.capture_options import capture_options
    from engine.optimize.checkpoint import read_checkpoint
    from engine.optimize.moved_capture import advising_restore, place_of_capture
    from engine.optimize.project import Project
    from engine.optimize.recipe import Recipe
    from engine.optimize.session import scene_of_checkpoint

    project = Project.open(folder, Recipe, lock=False)
    place = place_of_capture(project, moved)
    checkpoint = read_checkpoint(project.checkpoints)
    scene = scene_of_checkpoint(checkpoint) if checkpoint else None
    splats = None if scene is None or scene.mesh is not None else scene.gaussians
    if splats is None and (scene is None or scene.mesh is None or scene.material is None):
        what = "are no splats" if "splats" in project.recipe.stages else "is no textured mesh"
        until = "splats" if "splats" in project.recipe.stages else "mesh"
        raise ProjectError(f"{folder}: there {what} yet; resume the run until its stage {until} is done")
    with advising_restore():
        capture = open_capture(place, capture_options(project.recipe.capture))
    camera = None if view is None else _camera_named(view, capture, place)
    if splats is None:
        return _of_mesh(scene, project.recipe, capture, camera, environment)
    _check_unlit(folder, environment)
    return _of_splats(splats, scene.backdrop, project.recipe, capture, camera)


def _camera_named(view: str, capture: Capture, place: Path) -> Camera:
    """The camera of the one photo that `view` names: in full, without its extension, or without its folder as well."""
    cameras = {frame.name: frame.camera for frame in capture.frames}
    if view in cameras:
        return cameras[view]
    whole = [name for name in cameras if _without_extension(name) == _without_extension(view)]
    named = whole or [name for name in cameras if Path(_without_extension(name)).name == _without_extension(view)]
    if len(named) == 1:
        return cameras[named[0]]
    some = ", ".join(sorted(named or cameras)[:5])
    if named:
        raise CaptureError(f"--view {view}: {len(named)} photos of {place} have this name, {some}; give it in full")
    raise CaptureError(f"--view {view}: no photo of {place} has this name; there are {some}, ...")


def _without_extension(name: str) -> str:
    from engine.capture.entry import IMAGE_SUFFIXES

    return str(Path(name).with_suffix("")) if Path(name).suffix.lower() in IMAGE_SUFFIXES else name


def _of_mesh(
    scene: SceneState, recipe: Recipe, capture: Capture, camera: Camera | None, environment: Path | None
) -> _Shown:
    """A mesh by the shading that it was fitted through, by the engine's own under another `environment`."""
    from engine.optimize.evaluate import asset_renderer
    from engine.optimize.stages.blackbox import own_shading

    shading = own_shading(recipe) if environment is None else None
    if shading is None:
        return _lit(scene.mesh, scene.material, scene.environment, capture.up, camera, environment)
    renderer = asset_renderer(scene.mesh, scene.material, scene.environment, "numba", shading)
    return _Shown(renderer, scene.mesh.box, capture.up, camera)


def _of_splats(
    splats: Gaussians, backdrop: Backdrop | None, recipe: Recipe, capture: Capture, camera: Camera | None
) -> _Shown:
    """Splats of an object as an object; those of a whole scene from where photos were taken, and as far away."""
    from engine.optimize.evaluate_splats import splat_renderer
    from engine.optimize.splat_gradient import picture_shading

    renderer = splat_renderer(splats, recipe.splats, capture, backdrop, picture_shading(recipe))
    up = np.asarray(capture.up, float)
    if renderer.background is None:
        return _Shown(renderer, splats.most_box, up, camera)
    cameras = [capture.frames[index].camera for index in capture.train]
    middle = looked_at(cameras).mean(0)
    away = np.stack([one.position for one in cameras]) - middle
    distance = float(np.median(np.linalg.norm(away, axis=1)))
    heights = away @ (up / np.linalg.norm(up)) / np.maximum(np.linalg.norm(away, axis=1), 1e-9)
    reach = SEEN_SHARE * distance / np.sqrt(3)  # half a side of a cube that a turntable of this distance holds
    elevation = float(np.degrees(np.arcsin(np.clip(np.median(heights), -0.98, 0.98))))
    return _Shown(renderer, np.stack([middle - reach, middle + reach]), up, camera or cameras[0], elevation)


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
