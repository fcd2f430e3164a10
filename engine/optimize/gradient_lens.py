"""Which pixels of a photo move one parameter of the scene, and how: analytic, stochastic and finite differences.

Derivatives are of the sum of the pixels' own losses (see engine/optimize/lens/scene.py), not of their mean: divide by
the photo's pixels to compare with a run's loss. Biases: in all three the tangent frames of normal maps stand still. As
in the stages, the analytic and the stochastic engine leave each pixel its material when a vertex moves, unless
`moving_texture`; the judge's texture moves along. On a texture that is finer than pixels the complete derivative of
single looks is the worse of the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from engine.optimize.lens.analytic import analytic_map
from engine.optimize.lens.differences import difference_map
from engine.optimize.lens.parameters import (
    LightParameter,
    Parameter,
    TexelParameter,
    VertexParameter,
    one_texel,
)
from engine.optimize.lens.report import GroupReport, cosine_report
from engine.optimize.lens.scene import LensScene, LensView, Window
from engine.optimize.lens.stochastic import stochastic_map, vertex_extent
from engine.optimize.loss_photo import loss_camera, loss_photo
from engine.optimize.turns import kernel_turn
from engine.raster.texture import build_pyramid

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.snapshot import SceneSnapshot

__all__ = [
    "ENGINES",
    "GroupReport",
    "Lens",
    "LightParameter",
    "Parameter",
    "TexelParameter",
    "VertexParameter",
    "compare_engines",
    "cosine",
    "gradient_lens",
]

Engine = Literal["analytic", "stochastic", "differences"]
ENGINES: tuple[Engine, ...] = Engine.__args__
MARGIN = 3  # pixels around what moves


@dataclass(frozen=True)
class Lens:
    """The three maps of one parameter and photo."""

    parameter: Parameter
    maps: dict[Engine, np.ndarray]  # [H,W] float32, of the whole photo
    window: Window  # x0, y0, x1, y1: beyond it all maps are zero
    loss: np.ndarray  # [H,W] the pixels' losses
    samples: int  # of the stochastic map
    error: float  # standard error of the stochastic map's sum
    seconds: dict[Engine, float]

    @property
    def sums(self) -> dict[Engine, float]:
        """Over the pixels: the parameter's gradient."""
        return {name: float(values.sum(dtype=np.float64)) for name, values in self.maps.items()}

    def cosine(self, first: Engine, second: Engine) -> float:
        """Of two maps, pixel by pixel."""
        return cosine(self.maps[first], self.maps[second])

    def relative_error(self, engine: Engine) -> float:
        """Of a sum against that of finite differences."""
        judge = self.sums["differences"]
        return abs(self.sums[engine] - judge) / max(abs(judge), 1e-20)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of the angle between two arrays of one shape; NaN where one is zero."""
    a, b = (np.asarray(x, np.float64).reshape(-1) for x in (first, second))
    length = np.sqrt(a @ a) * np.sqrt(b @ b)
    return float(a @ b / length) if length > 0 else float("nan")


def photo_view(
    scene: LensScene,
    capture: Capture,
    frame: int,  # index into capture.frames
    image_size: int = 256,  # longest side in pixels, 0 the photo's own
    *,
    color_weight: float = 1.0,
    mask_weight: float = 2.0,
    moving_texture: bool = False,
) -> LensView:
    """A scene and a photo of a capture. Raises CaptureError where the photo cannot be read."""
    camera = loss_camera(capture.frames[frame].camera, image_size)
    color, alpha = loss_photo(capture.pixels(frame), camera)
    return LensView(scene, camera, color, alpha, color_weight, mask_weight, moving_texture=moving_texture)


def gradient_lens(
    snapshot: SceneSnapshot,
    capture: Capture,
    frame: int,
    parameter: Parameter,
    *,
    image_size: int = 256,
    samples: int = 256,
    seed: int = 0,
    moving_texture: bool = False,
    progress: Callable[[float, str], None] = lambda _done, _text: None,  # raises to cancel
) -> Lens:
    """The lens for a snapshot and photo `frame` of a capture.

    Raises GeometryError without a surface or for a parameter that is not there, CaptureError for an unreadable photo.
    """
    progress(0.0, "reading the scene")
    with kernel_turn():
        scene = LensScene(snapshot)
        view = photo_view(scene, capture, frame, image_size, moving_texture=moving_texture)
    return view_lens(view, parameter, samples=samples, seed=seed, progress=progress)


def compare_engines(
    snapshot: SceneSnapshot,
    capture: Capture,
    frame: int,
    *,
    image_size: int = 256,
    samples: int = 32,
    directions: int = 12,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda _done, _text: None,  # raises to cancel
) -> list[GroupReport]:
    """How well the engines agree on each group of parameters of a scene seen by one photo; see `cosine_report`.

    Raises GeometryError without a surface, CaptureError for an unreadable photo.
    """
    progress(0.0, "reading the scene")
    with kernel_turn():
        view = photo_view(LensScene(snapshot), capture, frame, image_size)
    return cosine_report(view, samples=samples, directions=directions, seed=seed, progress=progress)


def view_lens(
    view: LensView,
    parameter: Parameter,
    *,
    samples: int = 256,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda _done, _text: None,
) -> Lens:
    """`gradient_lens` for a view that is there already."""
    seconds: dict[Engine, float] = {}
    found: dict[Engine, Tensor] = {}
    error = 0.0
    window = moving_window(view, parameter)
    empty = window[0] >= window[2] or window[1] >= window[3]
    for name, done in (("analytic", 0.05), ("differences", 0.15), ("stochastic", 0.3)):
        began = time.perf_counter()
        if empty:
            found[name] = torch.zeros(0, 0)
        elif name == "stochastic":
            mean = stochastic_map(
                view, parameter, window, samples, seed, lambda part: progress(0.3 + 0.7 * part, "stochastic")
            )
            found[name], error = mean.map, mean.error
        else:
            progress(done, "analytic" if name == "analytic" else "finite differences")
            with kernel_turn():
                found[name] = (analytic_map if name == "analytic" else difference_map)(view, parameter, window)
        seconds[name] = time.perf_counter() - began
    maps = {name: _placed(found[name], window, view.camera.size) for name in ENGINES}
    return Lens(parameter, maps, window, view.loss.numpy(), samples, error, seconds)


def _placed(part: Tensor, window: Window, size: tuple[int, int]) -> np.ndarray:
    out = np.zeros(size, np.float32)
    if part.numel():
        out[window[1] : window[3], window[0] : window[2]] = part.numpy()
    return out


def moving_window(view: LensView, parameter: Parameter) -> Window:
    """The pixels outside which the parameter changes nothing; empty where it is not seen at all."""
    scene, (height, width) = view.scene, view.camera.size
    with kernel_turn():
        if isinstance(parameter, VertexParameter):
            parameter.vector(scene)  # raises where there is no such vertex
            box = vertex_extent(view, parameter.index)
        else:
            points = view.seen(view.look(view.whole), scene.vertices)
            pixel = points.buffer.pixel
            if isinstance(parameter, TexelParameter):
                parameter.weights(scene)
                share = scene.raster.texture(build_pyramid(one_texel(scene, parameter)), points.uv, points.level)
                pixel = pixel[share[:, 0] > 0]
            else:
                parameter.tangent(scene)
            place = np.stack([pixel.numpy() % width, pixel.numpy() // width], 1)
            box = np.stack([place.min(0), place.max(0) + 1]) if len(place) else None
    if box is None:
        return 0, 0, 0, 0
    low, high = np.floor(box[0]).astype(int) - MARGIN, np.ceil(box[1]).astype(int) + MARGIN
    x0, y0 = np.clip(low, 0, [width, height])
    x1, y1 = np.clip(high, 0, [width, height])
    return int(x0), int(y0), int(x1), int(y1)
