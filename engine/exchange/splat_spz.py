"""SPZ, the quantized splats of Niantic: through gsply, with the turn of the axes, kind and flags that it leaves out."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.atomic import AtomicFiles, write_error
from engine.scene.gaussians import KINDS, Gaussians

# the harmonics that change sign with y and z: of y, z, xy, xz and so on
TURNED = np.array([1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1], np.float32)
FLAGS = 14  # the byte of the header that holds them
ANTIALIASED = 1  # flag: opacities make up for the low pass
EXTENDED = 2  # flag: records of type, length and content follow the splats
RECORD = 0x554E0001  # the type of ours: a byte, the index in KINDS, then the shapes as float16
SIDES = (-10.0, 255 / 16 - 10)  # log scales that a byte can hold
FINEST = 20  # bits after the point of a coordinate
WHOLE = 22.99  # bits of a coordinate beside its sign, a little less for rounding
STEPS = 15  # a coordinate's step is that power of 2 finer than where most splats lie, or far ones are drawn in


class OutOfReach(ExchangeError):
    """The scene lies where SPZ has no coordinates."""


def read_spz(path: Path, notice) -> Gaussians:
    """The splats of an SPZ file of version 1 to 4, in the axes of PLY; raises ExchangeError."""
    gsply = _gsply()

    try:
        splats = turned(gaussians_of(gsply.read_spz(path)))
        file = path.read_bytes()
        kind, shapes = _record(file, len(splats))
        antialiased = kind != "surface" and bool(_flags(file) & ANTIALIASED)
    except Exception as error:  # whatever gsply, gzip and zstandard stumble over
        text = str(error).replace(str(path), "").strip(" :")
        raise ExchangeError(
            f"{path}: cannot be read as SPZ ({type(error).__name__}: {text}); copy or export it again"
        ) from error
    return replace(splats, kind=kind, shapes=shapes, antialiased=antialiased)


def write_spz(path: Path, splats: Gaussians, notice) -> None:
    """Write version 3, with coordinates as fine as their range allows.

    A few splats that lie so far out that the others' coordinates would be coarse are drawn in, and `notice` told.
    Raises OutOfReach where most splats lie too far from the origin, and ExchangeError.
    """
    gsply = _gsply()

    splats, bits = within_reach(path, splats, notice)
    largest = splats.log_scales.max(1)
    beyond = int(((largest < SIDES[0]) | (largest > SIDES[1])).sum())
    if beyond:
        low, high = np.exp(SIDES)
        notice(f"{path}: {beyond:,} of {len(splats):,} splats are not {low:.1e} to {high:.0f} units large; clamped")
    other = turned(splats)
    data = gsply.GSData.from_arrays(
        means=other.means,
        scales=other.log_scales,
        quats=other.rotations,
        opacities=other.logits,
        sh0=np.ascontiguousarray(other.harmonics[:, 0]),
        shN=np.ascontiguousarray(other.harmonics[:, 1:]) if other.degree else None,
        format="ply",
    )
    with AtomicFiles() as files:
        temporary = files.temporary(path)
        try:
            gsply.write_spz(temporary, data, fractional_bits=bits)
            if splats.kind != "gaussian" or splats.antialiased:
                temporary.write_bytes(_completed(temporary.read_bytes(), splats))
        except OSError as error:
            raise write_error(path, error) from error


def within_reach(path: Path, splats: Gaussians, notice) -> tuple[Gaussians, int]:
    """(splats whose coordinates SPZ holds, the bits after their point).

    What lies too far out comes nearer on its line from the middle of most splats and as much smaller, so that it looks
    the same from there.
    """
    most = splats.most_box
    middle, side = most.mean(0), max(float(np.ptp(most, axis=0).max()), 1e-9)
    all_bits = _bits(float(np.abs(splats.means).max()))
    bits = int(np.clip(min(np.ceil(STEPS - np.log2(side)), _bits(float(np.abs(most).max() + side))), 0, FINEST))
    if all_bits >= max(bits, 1):
        return splats, all_bits
    if not bits:
        raise OutOfReach(
            f"{path}: the splats lie {np.abs(middle).max():.3g} units from the origin, beyond what SPZ holds; "
            "move the capture's cameras to the origin, or leave SPZ out (export.spz=false)"
        )
    limit = 2.0 ** (WHOLE - bits)
    away = splats.means - middle
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(np.abs(splats.means) > limit, (np.copysign(limit, away) - middle) / away, 1.0).min(1)
    far = share < 1
    means, sides = splats.means.copy(), splats.log_scales.copy()
    means[far] = middle + share[far, None] * away[far]
    sides[far] += np.log(share[far, None])
    notice(
        f"{path}: {int(far.sum()):,} of {len(splats):,} splats lie more than {limit:.3g} units from the origin; they "
        "are drawn in on their lines from the middle, so that the others' coordinates stay fine"
    )
    return replace(splats, means=means, log_scales=sides), bits


def _bits(reach: float) -> int:
    """After the point, so that coordinates up to `reach` fit."""
    return int(np.clip(np.floor(WHOLE - np.log2(max(reach, 1e-9))), 0, FINEST))


def turned(splats: Gaussians) -> Gaussians:
    """The splats with y and z reversed, half a turn about x: from right, down, forward to right, up, back, and back."""
    half = np.array([1, -1, -1], np.float32)
    return replace(
        splats,
        means=splats.means * half,
        rotations=splats.rotations * np.array([1, 1, -1, -1], np.float32),
        harmonics=splats.harmonics * TURNED[: splats.harmonics.shape[1], None],
    )


def gaussians_of(data) -> Gaussians:
    """Copies of the arrays of a gsply.GSData."""
    harmonics = data.sh0[:, None] if data.shN is None else np.concatenate([data.sh0[:, None], data.shN], 1)
    arrays = (data.means, data.quats, data.scales, data.opacities.reshape(-1), harmonics)
    return Gaussians(*(np.array(array, np.float32) for array in arrays))


def _gsply():
    """The package, with its C++ reader where its wheel has one: the other compiles for seconds when first used.

    Version 4 is read in Python all the same, with zstandard: the C++ reader can hang on damaged files.
    """
    import gsply

    gsply.use_backend("auto")
    return gsply


def _flags(file: bytes) -> int:
    """Those of the header, which versions before 4 pack with the rest."""
    header = zlib.decompressobj(31).decompress(file, FLAGS + 1) if file[:2] == b"\x1f\x8b" else file
    return header[FLAGS]


def _record(file: bytes, count: int) -> tuple[str, np.ndarray | None]:
    """The kind and the shapes that a record of ours names; those of Gaussians if there is none."""
    plain = ("gaussian", None)
    if file[:2] != b"\x1f\x8b" or not _flags(file) & EXTENDED:
        return plain
    content = gzip.decompress(file)
    version, degree = content[4], content[12]
    place = 16 + count * (16 + (4 if version >= 3 else 3) + 3 * ((degree + 1) ** 2 - 1))
    while place + 8 <= len(content):
        name, length = struct.unpack_from("<II", content, place)
        record = content[place + 8 : place + 8 + length]
        place += 8 + length
        if name != RECORD or not record or record[0] >= len(KINDS):
            continue
        kind = KINDS[record[0]]
        if kind != "exponential":
            return kind, None
        if len(record) == 1 + 2 * count:
            return kind, np.frombuffer(record, "<f2", count, 1).astype(np.float32)
    return plain


def _completed(file: bytes, splats: Gaussians) -> bytes:
    """The file with what gsply leaves out: flags, and the record of another kind than Gaussians."""
    content = bytearray(gzip.decompress(file))
    if splats.antialiased:
        content[FLAGS] |= ANTIALIASED
    if splats.kind != "gaussian":
        content[FLAGS] |= EXTENDED
        shapes = b"" if splats.shapes is None else splats.shapes.astype("<f2").tobytes()
        content += struct.pack("<IIB", RECORD, 1 + len(shapes), KINDS.index(splats.kind)) + shapes
    return gzip.compress(bytes(content), 6, mtime=0)
