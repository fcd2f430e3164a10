"""What splats are worth on the test views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ExchangeError
from engine.exchange.backdrop import read_backdrop
from engine.exchange.splats import read_splats
from engine.optimize.evaluate import how_to_export, image_metrics
from engine.optimize.snapshot import SplatLook
from engine.optimize.splat_renderer import SplatRenderer

BACKDROP = "background.png"  # in exports/

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.recipe import SplatsSection
    from engine.optimize.session import Session
    from engine.optimize.splat_gradient import PictureShading
    from engine.scene import Backdrop, Camera, Gaussians


def splat_renderer(
    splats: Gaussians,
    options: SplatsSection,
    capture: Capture,
    backdrop: Backdrop | None = None,
    shading: PictureShading | None = None,
) -> SplatRenderer:
    """Draws splats as they were trained, before the backdrop that was learned with them.

    Without the `shading` that they were trained through (`splat_gradient.picture_shading`) it shows their own colours.
    """
    look = SplatLook.trained(options, capture, backdrop)
    return SplatRenderer(splats, look.background, shading=shading)


def evaluated_splats(
    session: Session, progress: Callable[[float, str], None], cameras: Sequence[Camera] | None = None
) -> tuple[dict[str, Any], SplatRenderer]:
    """(the metrics of the exported splats, what draws them), seen by `cameras` of all frames where they were refined.

    They are shaded as they were trained. Raises ExchangeError when nothing has been exported.
    """
    from engine.optimize.splat_gradient import picture_shading

    path = session.project.exports / f"{session.recipe.export.name}.ply"
    if not path.exists():
        raise ExchangeError(f"{path}: there are no exported splats to evaluate; {how_to_export(session)}")
    splats, capture = read_splats(path), session.capture
    backdrop = None
    if session.recipe.splats.background == "environment":
        backdrop = read_backdrop(session.project.exports / BACKDROP, capture.up)
    shading = picture_shading(session.recipe)
    renderer = splat_renderer(splats, session.recipe.splats, capture, backdrop, shading)
    ignoring = SplatLook.trained(session.recipe.splats, capture).ignoring
    result = image_metrics(renderer, capture, capture.test, None, progress, cameras, ignoring)
    result |= {"primitives": len(splats), "megabytes": round(splats.megabytes, 3)}
    return result | {"spz_psnr": session.context.scene.values.get("spz_psnr")}, renderer
