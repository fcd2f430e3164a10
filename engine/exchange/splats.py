"""Splats in files: 3DGS PLY and SPZ, in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.references import read_error
from engine.exchange.stated_up import stated_up
from engine.scene.conventions import SPLAT_FILES_UP
from engine.scene.gaussians import SHAPES, Gaussians

FORMATS = (".ply", ".spz")
HEADER = 1 << 16  # bytes in which a PLY says what it holds
FLAT = np.float32(np.log(1e-7))  # third log scale of a disc as it is written: other viewers draw thin splats
REACH = 1e9  # capture units: a splat that lies or extends beyond is useless in float32
SMALLEST = np.float32(-30)  # log scale: what is smaller is made this small
SURE = np.float32(20)  # the logit of an opacity of exactly 1; that of 0 is its negative

Notice = Callable[[str], None]


def silent(text: str) -> None:
    """Take a notice and show it to nobody."""


def holds_splats(path: Path | str) -> bool:
    """Whether a file is SPZ, or a PLY whose properties are those of splats and not of a mesh; False if unreadable."""
    path = Path(path)
    if path.suffix.lower() != ".ply":
        return path.suffix.lower() == ".spz"
    try:
        with open(path, "rb") as file:
            header = file.read(HEADER).partition(b"end_header")[0]
    except OSError:
        return False
    return b" f_dc_0" in header or b" packed_position" in header


def read_splats(path: Path | str, notice: Notice = silent) -> Gaussians:
    """The splats of a 3DGS PLY or SPZ file; at least one, all finite and usable.

    What had to be left out or mended is told to `notice`, a sentence each: rows with NaN, splats too far or too large,
    sides of length zero, quaternions of length zero, opacities of exactly 0 or 1. A PLY's numbers come back to the bit.
    SPZ has its axes right, up and back where PLY has right, down and forward: y and z are turned, as other converters
    do, so that both files of one scene come back the same. Raises ExchangeError naming the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ExchangeError(f"{path}: '{suffix}' is not a format of splats that can be read; use .ply or .spz")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise read_error(path, error) from error
    if suffix == ".ply":
        from engine.exchange.splat_ply import read_splat_ply as read
    else:
        from engine.exchange.splat_spz import read_spz as read
    return usable(path, read(path, notice), notice)


def splats_up(path: Path | str) -> np.ndarray:
    """The up direction [3] of a file's splats: what a comment in our PLY says, else that of COLMAP, as is usual."""
    up = stated_up(path) if Path(path).suffix.lower() == ".ply" else None
    return np.array(SPLAT_FILES_UP) if up is None else up


def write_splats(path: Path | str, splats: Gaussians, notice: Notice = silent, up: np.ndarray | None = None) -> None:
    """Write 3DGS PLY (float32, lossless) or SPZ (quantized, about a tenth as large), by the suffix of `path`.

    The kind is kept: PLY names it in a comment and has the exponents as property `shape`; SPZ has both in an extension
    record. Programs that know neither show a generalized exponential as a Gaussian and a disc as a very thin one.
    That splats are antialiased stands in a comment of PLY, in the words of other programs, and in SPZ's flag for it.
    A comment in a PLY says the `up` [3] of the splats' frame. What SPZ cannot hold is told to `notice`. Raises
    ExchangeError, also for no splats or non-finite ones.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ExchangeError(f"{path}: splats cannot be written as '{suffix}'; use .ply or .spz")
    check_writable(path, splats)
    if splats.kind == "surface":
        sides = splats.log_scales.copy()
        sides[:, 2] = FLAT
        splats = replace(splats, log_scales=sides)
    if suffix == ".ply":
        from engine.exchange.splat_ply import write_splat_ply

        write_splat_ply(path, splats, up)
    else:
        from engine.exchange.splat_spz import write_spz

        write_spz(path, splats, notice)


def check_writable(path: Path | str, splats: Gaussians) -> None:
    """Raise ExchangeError for what no file should hold: no splats, or numbers that are not finite."""
    if not len(splats):
        raise ExchangeError(f"{path}: there are no splats to write; train some first")
    bad = int((~_finite(splats)).sum())
    if bad:
        raise ExchangeError(f"{path}: {bad:,} of {len(splats):,} splats are not finite; remove them before writing")


def usable(path: Path | str, splats: Gaussians, notice: Notice) -> Gaussians:
    """The splats of a file that can be drawn, mended where that is harmless; each change is told to `notice`."""
    if not len(splats):
        raise ExchangeError(f"{path}: it has no splats; export it again")

    def tell(count: int, what: str) -> None:
        if count:
            notice(f"{path}: {count:,} of {len(splats):,} splats {what}")

    logits, sides = splats.logits.copy(), splats.log_scales.copy()
    extreme = np.isinf(logits)
    logits[extreme] = np.where(logits[extreme] > 0, SURE, -SURE)
    small = sides < SMALLEST  # -inf too: the logarithm of a side of length zero
    sides[small] = SMALLEST
    mended = replace(splats, logits=logits, log_scales=sides)
    finite = _finite(mended)
    with np.errstate(over="ignore", invalid="ignore"):
        near = (np.abs(mended.means) < REACH).all(1) & (sides < np.log(REACH)).all(1)
    kept = finite & near
    tell(int((~finite).sum()), "have values that are not finite; they are left out")
    tell(int((finite & ~near).sum()), f"lie or extend beyond {REACH:.0e} units; they are left out")
    tell(int((small.any(1) & kept).sum()), f"have a side of length zero; it is made e^{SMALLEST:.0f} units long")
    tell(
        int((extreme & kept).sum()), f"have an opacity of exactly 0 or 1; its logit is made {SURE:.0f} or its negative"
    )
    if not kept.any():
        raise ExchangeError(f"{path}: none of its {len(splats):,} splats can be used; export it again")
    if not kept.all():
        mended = mended.select(kept)
    turns = mended.rotations
    still = ~(np.abs(turns).max(1) > 1e-12)
    if still.any():
        turns = turns.copy()
        turns[still] = (1, 0, 0, 0)
    tell(int(still.sum()), "have a quaternion of length zero; they are not rotated")
    if mended.shapes is None:
        return replace(mended, rotations=turns)
    shapes = np.clip(mended.shapes, *SHAPES).astype(np.float32)
    tell(int((shapes != mended.shapes).sum()), f"have a shape outside {SHAPES[0]} to {SHAPES[1]}; it is clamped")
    return replace(mended, rotations=turns, shapes=shapes)


def _finite(splats: Gaussians) -> np.ndarray:
    """[N] whether every number of a splat is finite."""
    rows = [np.isfinite(array.reshape(len(splats), -1)).all(1) for array in splats.arrays().values()]
    return np.logical_and.reduce(rows)
