"""All files of one set of splats together: written aside, read back, drawn again, and only then put in their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.asset_files import AssetReport, placed_together
from engine.exchange.backdrop import write_backdrop
from engine.exchange.splat_html import write_splat_html
from engine.exchange.splats import read_splats, write_splats
from engine.optimize.evaluate import rendered_on_white
from engine.optimize.metrics import psnr
from engine.optimize.snapshot import SplatLook
from engine.optimize.splat_renderer import SplatRenderer
from engine.optimize.turns import kernel_turn
from engine.scene import Backdrop, Camera, Gaussians
from engine.scene.conventions import linear_to_srgb

FORMATS = ("ply", "spz", "html")
BEST = 99.0  # dB, of images that are equal
SPZ_BYTES, HTML_BYTES = (13, 19, 29, 42), (43, 56, 77, 107)  # per splat, by the degree of the harmonics
KINDS = {"gaussian": "Gaussians", "exponential": "generalized exponentials", "surface": "flat discs"}


@dataclass(frozen=True)
class SplatScene:
    """What is exported, and the cameras to check it from; the page begins at the first of them."""

    splats: Gaussians
    look: SplatLook
    up: np.ndarray  # [3] of the capture's frame
    cameras: tuple[Camera, ...]  # one at least


def splat_facts(scene: SplatScene) -> dict[str, str]:
    """What a person has to know before using the files, by topic: axes, units, splats, colour."""
    splats = scene.splats
    up = ", ".join(f"{value:.3g}" for value in np.asarray(scene.up, float) + 0.0)
    sides = " x ".join(f"{side:.3g}" for side in splats.most_box[1] - splats.most_box[0])
    facts = {
        "Axes": f"The capture's frame, in which up is ({up}). SPZ turns y and z, as all programs that read it expect.",
        "Units": f"The capture's own, scale 1. Most splats lie within {sides}.",
        "Splats": f"{len(splats):,} {KINDS[splats.kind]}, harmonics of degree {splats.degree}",
        "Colour": "sRGB-encoded, as trained: the light of the photos is in it.",
    }
    if isinstance(scene.look.background, Backdrop):
        facts["Background"] = "PLY and SPZ hold none: the environment is written beside them as PNG; the page shows it."
    return facts


def splat_sizes(scene: SplatScene) -> dict[str, int]:
    """Bytes that each format of FORMATS will take, roughly."""
    count, degree = len(scene.splats), scene.splats.degree
    return {
        "ply": int(1e6 * scene.splats.megabytes) + 1500,
        "spz": SPZ_BYTES[degree] * count,
        "html": HTML_BYTES[degree] * count + 40_000,
    }


def write_splat_files(
    folder: Path | str,
    name: str,
    formats: Sequence[str],
    scene: SplatScene,
    progress: Callable[[float, str], None] = lambda done, text: None,
    notice: Callable[[str], None] = lambda text: None,
) -> AssetReport:
    """Write `formats` of FORMATS to `folder`, which is made if missing; all files appear together or none does.

    The first PLY or SPZ is read back and drawn before the files take their places. Raises ExchangeError, and whatever
    `progress` raises to end the work.
    """
    if not formats or not set(formats) <= set(FORMATS):
        raise ExchangeError(f"{folder}: choose at least one of {', '.join(FORMATS)} to export")

    def write(aside: Path) -> AssetReport:
        chosen = [kind for kind in FORMATS if kind in formats]
        for number, kind in enumerate(chosen):
            progress(0.6 * number / len(chosen), f"writing {kind.upper()}")
            path = aside / f"{name}.{kind}"
            if kind == "html":
                background = scene.look.background or (0.0, 0.0, 0.0)
                write_splat_html(path, scene.splats, scene.cameras, scene.up, name, background)
            else:
                write_splats(path, scene.splats, notice, scene.up)
        if isinstance(scene.look.background, Backdrop):
            write_backdrop(aside / f"{name}_background.png", scene.look.background, scene.up)
        again, value = scene.splats, None
        readable = next((kind for kind in ("ply", "spz") if kind in chosen), None)
        if readable is not None:
            progress(0.65, "reading the files back")
            again = read_splats(aside / f"{name}.{readable}")
            value = _agreement(again, scene)
        progress(0.85, "drawing what was written")
        sizes = {path.name: path.stat().st_size for path in sorted(aside.iterdir())}
        return AssetReport(aside, sizes, value, _picture(again, scene))

    return placed_together(Path(folder), name, write, progress)


def _renderer(splats: Gaussians, scene: SplatScene) -> SplatRenderer:
    return SplatRenderer(splats, scene.look.background, scene.look.antialiased, scene.look.rescaled)


def _agreement(again: Gaussians, scene: SplatScene) -> float:
    """Mean PSNR in dB of what was read back against what was written, over the cameras."""
    values = []
    for camera in scene.cameras:
        with kernel_turn():
            images = [rendered_on_white(_renderer(splats, scene), camera) for splats in (again, scene.splats)]
        values.append(min(BEST, psnr(*images)))
    return float(np.mean(values))


def _picture(splats: Gaussians, scene: SplatScene) -> np.ndarray:
    """[H,W,4] uint8, straight alpha."""
    with kernel_turn():
        color, alpha = _renderer(splats, scene).render(scene.cameras[0])
    straight = linear_to_srgb(color / np.maximum(alpha, 1e-6)[..., None])
    return (np.concatenate([straight, alpha[..., None]], -1) * 255 + 0.5).astype(np.uint8)
