"""metrics.json: what the exported asset is worth on the test views, with nothing fitted on them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.errors import ExchangeError
from engine.optimize import metrics
from engine.optimize.messages import EvalReport, Notice, Progress
from engine.optimize.scene_state import SceneState
from engine.optimize.snapshot import SplatLook
from engine.scene import Camera, Environment, Material, Mesh
from engine.scene.conventions import linear_to_srgb

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.exchange import AssetRenderer
    from engine.optimize.session import Session
    from engine.optimize.truth import Truth
    from engine.raster import Rasterizer
    from engine.shading.blackbox import Shading

IMAGE_METRICS = ("psnr", "ssim", "flip", "psnr_masked")


class Renderer(Protocol):
    """Anything that draws a view: (premultiplied linear colour [H,W,3], alpha [H,W])."""

    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]: ...


def on_white(straight: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """[H,W,3] sRGB-encoded, clipped, composited on white in encoded space; `straight` linear [H,W,3], `alpha` [H,W]."""
    return linear_to_srgb(straight) * alpha[..., None] + (1 - alpha[..., None])


def rendered_on_white(renderer: Renderer, camera: Camera) -> np.ndarray:
    """[H,W,3] as `on_white`, of a rendered view."""
    premultiplied, alpha = renderer.render(camera)
    return on_white(premultiplied / np.maximum(alpha, 1e-6)[..., None], alpha)


def photo_on_white(capture: Capture, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """([H,W,3] as `on_white`, [H,W] boolean mask > 0.5) of a photograph; all true where there is no mask."""
    pixels = capture.pixels(frame)
    mask = np.ones(pixels.color.shape[:2], np.float32) if pixels.mask is None else pixels.mask
    return on_white(pixels.color, mask), mask > 0.5


def photo_compared(capture: Capture, frame: int, image: np.ndarray, ignoring: bool) -> tuple[np.ndarray, np.ndarray]:
    """(what `image` [H,W,3] is compared with, [H,W] boolean mask > 0.5): as `photo_on_white`, but the photograph itself
    with `image` in the pixels to ignore where masks tell those."""
    photo, mask = photo_on_white(capture, frame)
    if ignoring:
        photo = np.where(mask[..., None], linear_to_srgb(capture.pixels(frame).color), image)
    return photo, mask


def image_metrics(
    renderer: Renderer,
    capture: Capture,
    frames: Sequence[int],
    hull: Renderer | None = None,
    progress: Callable[[float, str], None] = lambda done, text: None,
    cameras: Sequence[Camera] | None = None,
    ignoring: bool = False,
) -> dict[str, Any]:
    """`psnr`, `ssim`, `flip`, `psnr_masked` and `hull_psnr`, means of the per-view values in `per_view`; None without
    test views, or without a hull.

    `cameras` are those of all frames where they are not the capture's own, with which the hull was carved. With
    `ignoring` masks tell what to ignore: `psnr` leaves it out, and SSIM and FLIP see no difference there.
    """
    views = []
    for done, frame in enumerate(frames):
        name, camera = capture.frames[frame].name, capture.frames[frame].camera
        progress(done / len(frames), name)
        image = rendered_on_white(renderer, camera if cameras is None else cameras[frame])
        photo, mask = photo_compared(capture, frame, image, ignoring)
        view: dict[str, Any] = {
            "name": name,
            "psnr": metrics.psnr(image, photo, mask if ignoring else None),
            "ssim": metrics.ssim(image, photo),
            "flip": metrics.flip(image, photo),
            "psnr_masked": metrics.psnr(image, photo, mask),
        }
        if hull is not None:
            baseline = rendered_on_white(hull, camera)
            view["hull_psnr"] = metrics.psnr(baseline, photo)
            view["hull_psnr_masked"] = metrics.psnr(baseline, photo, mask)
        views.append(view)
    means = {key: mean_of(views, key) for key in (*IMAGE_METRICS, "hull_psnr", "hull_psnr_masked")}
    return means | {"per_view": views}


def mean_of(views: list[dict[str, Any]], key: str) -> float | None:
    """The mean over the views that have a finite value; None when none has."""
    values = [view[key] for view in views if key in view and math.isfinite(view[key])]
    return float(np.mean(values)) if values else None


def material_metrics(
    renderer: Any, capture: Capture, frames: Sequence[int], truth: Truth, cameras: Sequence[Camera] | None = None
) -> dict[str, float]:
    """`base_color_psnr`, `roughness_rmse` and `metallic_rmse` where true maps exist, over the pixels with mask > 0.5
    that the asset covers (what it fails to cover counts in `psnr`); `cameras` as in `image_metrics`."""
    cameras = cameras or [frame.camera for frame in capture.frames]
    values: dict[str, list] = {"base_color": [], "roughness": [], "metallic": []}
    for frame in frames:
        true = truth.maps(capture.frames[frame])
        rendered = renderer.render_maps(cameras[frame])
        covered = photo_on_white(capture, frame)[1] & (rendered.alpha > 0.5)
        for key, list_ in values.items():
            if getattr(true, key) is not None:
                list_.append((getattr(rendered, key), getattr(true, key), covered))
    result = {}
    if values["base_color"]:
        result["base_color_psnr"] = metrics.base_color_psnr(*zip(*values["base_color"], strict=True))
    for key in ("roughness", "metallic"):
        if values[key]:
            result[f"{key}_rmse"] = metrics.masked_rmse(*zip(*values[key], strict=True))
    return result


def asset_renderer(
    mesh: Mesh, material: Material, environment: Environment, rasterizer: str, shading: Shading | None
) -> AssetRenderer:
    """What draws an asset, under a black-box shading where one is given."""
    from engine.exchange import AssetRenderer

    if shading is None:
        return AssetRenderer(mesh, material, environment, rasterizer)
    from engine.exchange.shaded import ShadedRenderer

    return ShadedRenderer(mesh, material, shading, environment, rasterizer)


def evaluate_asset(
    mesh: Mesh,
    material: Material,
    environment: Environment,
    capture: Capture,
    rasterizer: Rasterizer,
    *,
    hull: Mesh | None = None,
    truth: Truth | None = None,
    reference: Mesh | None = None,
    device: str = "cpu",
    progress: Callable[[float, str], None] = lambda done, text: None,
    shading: Shading | None = None,
    cameras: Sequence[Camera] | None = None,
) -> dict[str, Any]:
    """Every metric that asset, capture and truth allow; nothing about how the asset came to be.

    With `shading` its images are what that makes of it, else the engine's own; `cameras` as in `image_metrics`.
    """
    from engine.geometry.quality import mesh_quality
    from engine.optimize.hull_baseline import hull_baseline
    from engine.optimize.metrics_shape import shape_metrics

    renderer = asset_renderer(mesh, material, environment, rasterizer.name, shading)
    baseline = hull_baseline(hull, capture, rasterizer, device) if hull is not None else None
    result = image_metrics(renderer, capture, capture.test, baseline, progress, cameras)
    if shading is not None:
        result["not_finite_points"] = renderer.not_finite
    result |= {"faces": len(mesh.triangles), "mesh_quality": mesh_quality(mesh)}
    if reference is not None:
        progress(1.0, "distance to the reference mesh")
        result |= shape_metrics(mesh, reference)
        if hull is not None:
            shape = shape_metrics(hull, reference)
            result["hull_chamfer_percent"] = shape["chamfer_percent"]
            result["hull_normal_consistency"] = shape["normal_consistency"]
    if truth is not None:
        result |= material_metrics(renderer, capture, capture.test, truth, cameras)
    return result


def evaluate_session(session: Session, reference: Path | None = None) -> dict[str, Any]:
    """Metrics of a session's exported asset or splats, written to its metrics.json.

    `reference` is a mesh file in the capture's frame, or a glTF with +Y up; without it the capture's own truth is
    taken, where there is one. Of splats the surface that stage fuse wrote is compared with it. Raises ExchangeError
    when nothing has been exported yet, for a reference that lies elsewhere than the mesh, and for one that splats
    without a surface are to be compared with.
    """
    from engine.optimize.comparison import write_comparison
    from engine.optimize.project import COMPARISON
    from engine.optimize.refined_cameras import refined_cameras, what_cameras

    project, tensors = session.project, session.context.scene.tensors
    cameras = refined_cameras(session.capture, tensors)

    def progress(done: float, text: str) -> None:
        session.notify(Progress("evaluate", done, text))

    ignoring = False
    if session.context.scene.gaussians is not None and session.context.scene.mesh is None:
        from engine.optimize.evaluate_splats import evaluated_splats
        from engine.optimize.fused_surface import fused_surface
        from engine.optimize.metrics_shape import shape_metrics

        ignoring = SplatLook.trained(session.recipe.splats, session.capture).ignoring
        surface = fused_surface(session, reference)
        result, renderer = evaluated_splats(session, progress, cameras)
        if surface is not None:
            progress(1.0, "distance to the reference mesh")
            result |= shape_metrics(*surface)
    else:
        result, renderer = _evaluated_asset(session, reference, progress, cameras)
    if not session.capture.test:
        session.notify(Notice("the capture has no test views: image metrics are left out", "warning"))
    before = project.read_metrics()
    same_run = before.get("steps") == session.total_step
    result |= {
        "cameras": what_cameras(tensors),
        "export_psnr": session.context.scene.values.get("export_psnr"),
        "steps": session.total_step,
        "stages": session.stage_records,
        "peak_memory_mb": before.get("peak_memory_mb") if same_run else round(session.peak_memory_mb, 1),
        "seconds": before.get("seconds") if same_run else round(session.seconds, 2),
    }
    result = finite(result)
    project.write_metrics(result)
    write_comparison(project.folder / COMPARISON, renderer, session.capture, cameras=cameras, ignoring=ignoring)
    session.notify(EvalReport(result))
    return result


def _evaluated_asset(
    session: Session,
    reference: Path | None,
    progress: Callable[[float, str], None],
    cameras: Sequence[Camera] | None,
) -> tuple[dict[str, Any], AssetRenderer]:
    from engine.exchange import read_asset, read_environment
    from engine.optimize.mesh_frame import reference_for
    from engine.optimize.stages.blackbox import own_shading
    from engine.optimize.truth import find_truth

    context, project = session.context, session.project
    path = project.exports / f"{session.recipe.export.name}.glb"
    if not path.exists():
        raise ExchangeError(f"{path}: there is no exported asset to evaluate; {how_to_export(session)}")
    mesh, material = read_asset(path)
    environment = context.scene.environment
    if environment is None:
        environment = read_environment(project.exports / "environment.hdr", session.capture.up)
    shading = own_shading(session.recipe)
    truth = find_truth(session.capture.path)
    true_mesh = reference or (truth.mesh_path if truth is not None else None)
    hull = _hull(session)
    result = evaluate_asset(
        mesh,
        material,
        environment,
        session.capture,
        context.rasterizer,
        hull=hull,
        truth=truth,
        reference=None if true_mesh is None else reference_for(session, true_mesh, mesh, given=reference is not None),
        device=context.device.torch_device,
        progress=progress,
        shading=shading,
        cameras=cameras,
    )
    if result.get("not_finite_points"):
        text = (
            f"the shading {shading.name} returned NaN or infinity for {result['not_finite_points']:,} points of the "
            "test views, which count as black; guard divisions, roots and logarithms in it"
        )
        session.notify(Notice(text, "warning"))
    if hull is not None:
        result["hull_resolution"] = session.recipe.hull.resolution
    return result, asset_renderer(mesh, material, environment, context.rasterizer.name, shading)


def how_to_export(session: Session) -> str:
    """What to do where a run has written no asset, or its asset is gone."""
    scene, folder = session.context.scene, shlex.quote(str(session.project.folder))
    if not session.finished:
        return f"take the run to its end first (unrender resume {folder})"
    if scene.gaussians is None and (scene.mesh is None or scene.environment is None):
        return "the run's stages made none"
    return f"export again (unrender export {folder})"


def _hull(session: Session) -> Mesh | None:
    """The hull that the run carved, or one carved now where its recipe does not; None without masks."""
    if session.context.scene.hull is not None or not session.capture.has_masks:
        return session.context.scene.hull
    from engine.optimize.stages.hull import HullStage

    stage = HullStage()
    stage.begin(replace(session.context, scene=SceneState()))
    stage.finish()
    return stage.context.scene.hull


def finite(value: Any) -> Any:
    """The same nest with plain Python numbers, None in place of what JSON does not know."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
