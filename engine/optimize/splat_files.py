"""All files of one set of splats together: written aside, read back, drawn again, and only then put in their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.asset_files import AssetReport, placed_together
from engine.exchange.backdrop import write_backdrop
from engine.exchange.splat_html import write_splat_html
from engine.exchange.splat_spz import OutOfReach
from engine.exchange.splats import REACH, read_splats, write_splats
from engine.optimize.evaluate import rendered_on_white
from engine.optimize.metrics import psnr
from engine.optimize.snapshot import SplatLook
from engine.optimize.splat_renderer import SplatRenderer
from engine.optimize.turns import kernel_turn
from engine.scene import Backdrop, Camera, Gaussians
from engine.scene.conventions import linear_to_srgb

FORMATS = ("ply", "spz", "html")
CHECKED_VIEWS = 4
FAULT_BELOW = 35.0  # dB
BEST = 99.0  # dB, of images that are equal
SPZ_BYTES, HTML_BYTES = (13, 19, 29, 42), (43, 56, 77, 107)  # per splat, by the degree of the harmonics
ANTIALIASED = "PLY and SPZ say that they are antialiased; programs that do not heed that show small ones too strong."
KINDS = {"gaussian": "Gaussians", "exponential": "generalized exponentials", "surface": "flat discs"}


@dataclass(frozen=True)
class SplatScene:
    """What is exported, and cameras: the page begins at the first and can go to the others, a few check the files."""

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
    if splats.antialiased:
        facts["Splats"] += f". {ANTIALIASED}"
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
    backdrop: str = "",  # name of the environment's PNG; by default one after `name`
) -> AssetReport:
    """Write `formats` of FORMATS to `folder`, which is made if missing; all files appear together or none does.

    PLY and SPZ are read back and drawn as other programs do, with no options of training, before the files take their
    places. Where SPZ cannot hold the splats, the other formats are written without it. What a person has to know is
    told to `notice` and stands in the report. Raises ExchangeError, and whatever `progress` raises to end the work.
    """
    folder = Path(folder)
    if not formats or not set(formats) <= set(FORMATS):
        raise ExchangeError(f"{folder}: choose at least one of {', '.join(FORMATS)} to export")
    chosen = [kind for kind in FORMATS if kind in formats]
    report = placed_together(
        folder, name, lambda aside: _written(aside, name, chosen, scene, progress, backdrop), progress
    )
    for text in report.notices:
        notice(text)
    return report


def _written(
    aside: Path,
    name: str,
    chosen: Sequence[str],
    scene: SplatScene,
    progress: Callable[[float, str], None],
    backdrop: str,
) -> AssetReport:
    scene, told = _useful(aside / name, scene)
    readable = []
    for number, kind in enumerate(chosen):
        progress(0.5 * number / len(chosen), f"writing {kind.upper()}")
        path = aside / f"{name}.{kind}"
        if kind == "html":
            background = scene.look.background or (0.0, 0.0, 0.0)
            write_splat_html(path, scene.splats, scene.cameras, scene.up, name, background)
            continue
        try:
            write_splats(path, scene.splats, told.append, scene.up)
        except OutOfReach as error:
            if len(chosen) == 1:
                raise
            told.append(f"{error}; the other files are there without it")
        else:
            readable.append(path)
    if isinstance(scene.look.background, Backdrop):
        write_backdrop(aside / (backdrop or f"{name}_background.png"), scene.look.background, scene.up)
    shown, checked = scene.splats, {}
    spread = np.linspace(0, len(scene.cameras) - 1, CHECKED_VIEWS).round().astype(int)
    cameras = [scene.cameras[i] for i in sorted(set(spread.tolist()))]
    expected = _images(shown, scene.look, cameras) if readable else []
    for number, path in enumerate(readable):
        progress(0.5 + 0.4 * number / len(readable), f"reading {path.suffix[1:].upper()} back")
        again = read_splats(path)
        shown = shown if number else again
        pairs = zip(_images(again, scene.look, cameras), expected, strict=True)
        value = checked[path.name] = min(BEST, float(np.mean([psnr(a, b) for a, b in pairs])))
        if value < FAULT_BELOW:
            told.append(f"{path}: drawn again it is {value:.1f} dB from the splats as they were trained")
    progress(0.9, "drawing what was written")
    sizes = {path.name: path.stat().st_size for path in sorted(aside.iterdir())}
    first = next(iter(checked.values()), None)
    return AssetReport(aside, sizes, first, _picture(shown, scene), checked, tuple(told))


def _useful(path: Path, scene: SplatScene) -> tuple[SplatScene, list[str]]:
    """(the scene without splats that no reader takes, what to tell of them); raises ExchangeError where none stays."""
    splats = scene.splats
    near = (np.abs(splats.means) < REACH).all(1) & (splats.log_scales < np.log(REACH)).all(1)
    if near.all():
        return scene, []
    if not near.any():
        raise ExchangeError(
            f"{path}: all {len(splats):,} splats lie or extend beyond {REACH:.0e} units; "
            "train them again with smaller steps (splats.learning_rate, splats.learning_rate_scales)"
        )
    text = f"{path}: {int((~near).sum()):,} of {len(splats):,} splats lie or extend beyond {REACH:.0e} units; left out"
    return replace(scene, splats=splats.select(near)), [text]


def _images(splats: Gaussians, look: SplatLook, cameras: Sequence[Camera]) -> list[np.ndarray]:
    """[H,W,3] sRGB-encoded of each camera, as `rendered_on_white`."""
    renderer, images = SplatRenderer(splats, look.background), []
    for camera in cameras:
        with kernel_turn():
            images.append(rendered_on_white(renderer, camera))
    return images


def _picture(splats: Gaussians, scene: SplatScene) -> np.ndarray:
    """[H,W,4] uint8, straight alpha."""
    with kernel_turn():
        color, alpha = SplatRenderer(splats, scene.look.background).render(scene.cameras[0])
    straight = linear_to_srgb(color / np.maximum(alpha, 1e-6)[..., None])
    return (np.concatenate([straight, alpha[..., None]], -1) * 255 + 0.5).astype(np.uint8)
