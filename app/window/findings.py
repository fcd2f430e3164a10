"""A doctor's report as findings in plain words; knows nothing of Qt."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from app.window.option_names import without_flags
from engine.capture.bad_frames import described

if TYPE_CHECKING:
    from engine.capture.doctor import Report

SHOWN_FAULTS = 12  # of bad photos, and photos of a fault, by name
BORDER_SPREAD = 10.0  # 8-bit values within which a border counts as plain


class Remedy(enum.Enum):
    """What the window can do about a finding."""

    MASKS = "masks"
    COLOR = "color"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor noticed."""

    level: Literal["problem", "warning", "fact"]
    text: str
    remedies: tuple[Remedy, ...] = ()


_WORDS = (  # of keys that the capture panel has controls for
    (" (--skip-bad-frames goes on without them)", ""),  # it has a button
    ("capture.color_key (r,g,b from 0 to 255)", "the background colour"),
    ("capture.color_key", "the background colour"),
    ("capture.color_tolerance", "the colour tolerance (option capture.color_tolerance)"),
    ("capture.region", "the region box"),
    ("capture.up", "the up axis"),
    ("world from camera", "world-from-camera"),
)


def plain(text: str, path: Path | str = "") -> str:
    """A sentence of the engine without its command-line words, beginning with a capital."""
    text = text.removeprefix(f"{path}: ")
    for technical, words in _WORDS:
        text = text.replace(technical, words)
    text = without_flags(text)
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def findings(report: Report) -> list[Finding]:
    """Problems, then warnings, then what was understood."""
    found = [*_problems(report)]
    found += [Finding("warning", plain(text, report.path)) for text in report.warnings]
    if report.frames and not report.mask_source:
        found.append(
            Finding(
                "warning",
                "The photos have no masks, so nothing tells the object from its background.",
                (Remedy.MASKS, Remedy.COLOR),
            )
        )
    return found + [Finding("fact", text) for text in _facts(report)]


def _problems(report: Report) -> list[Finding]:
    found = []
    for text in report.problems:
        if report.bad_frames and "frames cannot be used" in text:
            total = report.frames + len(report.bad_frames)
            listed = described(report.bad_frames, total, SHOWN_FAULTS)
            if len(listed) > SHOWN_FAULTS:
                listed[SHOWN_FAULTS:] = [f"and {len(listed) - SHOWN_FAULTS} more"]
            sentence = f"{len(report.bad_frames)} of {total} photos cannot be used:"
            if not any(item.remedies == (Remedy.SKIP,) for item in found):
                found.append(Finding("problem", "\n".join([sentence, *listed]), (Remedy.SKIP,)))
            continue
        remedies = ()
        if "colour key" in text:
            remedies = (Remedy.COLOR,)
        elif "mask" in text.lower():
            remedies = (Remedy.MASKS,)
        found.append(Finding("problem", plain(text, report.path), remedies))
    return found


def _facts(report: Report) -> list[str]:
    facts = []
    sizes = [size.replace("x", " x ") for size in report.image_sizes]
    more = f" and {len(sizes) - 2} other sizes" if len(sizes) > 2 else ""
    of_size = f" of {' and '.join(sizes[:2])}{more} pixels" if sizes else ""
    if report.photos:
        facts.append(f"{report.photos} photos{of_size}.")
    if report.frames:
        facts.append(f"{report.frames} photos{of_size}: {report.train} to learn from, {report.test} for testing.")
    if report.mask_source:
        text = f"Masks: {report.masks} of {report.frames}, from {report.mask_source}."
        if report.covered is not None:
            what = "What they keep" if report.ignoring else "The object"
            text += f" {what} covers {report.covered:.0%} of a typical photo."
            cut = report.cut and not report.ignoring
            text += f" It is cut off at the border of {report.cut} photos." if cut else ""
        facts.append(text)
    if report.depths:
        facts.append(f"Depth: {report.depths} of {report.frames} photos; splats learn from it.")
    angle = ""
    if report.fields_of_view:
        least, most = report.fields_of_view
        span = f"{least:.0f}" if round(least) == round(most) else f"{least:.0f} to {most:.0f}"
        angle = f" Field of view: {span} degrees."
    if report.axes_through is not None:
        facts.append(f"{report.axes_through} of {report.frames} cameras look straight at the object.{angle}")
    elif angle:
        facts.append(angle.strip())
    if report.up:
        vector = ", ".join(f"{value:.3g}" for value in np.array(report.up) + 0.0)
        facts.append(f"Up is ({vector}), from {report.up_source}.")
    if report.format:
        facts.append(f"Format: {report.format}.")
    return facts


def plain_background(paths: Sequence[Path], count: int = 4) -> tuple[int, int, int] | None:
    """The one colour (8-bit sRGB) that the borders of some photos share; None where they are not plain.

    Reads from the disk: not for the GUI thread.
    """
    from PIL import Image

    chosen = [paths[i] for i in sorted(set(np.linspace(0, len(paths) - 1, count).round().astype(int)))] if paths else []
    borders = []
    for path in chosen:
        with Image.open(path) as image:
            image.draft("RGB", (256, 256))
            small = np.asarray(image.convert("RGB").resize((96, 96)), np.float32)
        borders.append(np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]]))
    if not borders:
        return None
    border = np.concatenate(borders)
    middle = np.median(border, 0)
    near = (np.abs(border - middle).max(1) < 2 * BORDER_SPREAD).mean()
    return tuple(int(round(float(value))) for value in middle) if near > 0.9 else None
