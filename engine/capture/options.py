"""What a user may say about a capture beyond its files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CaptureError
from engine.scene.conventions import UP_AXES

NO_MASKS = (
    "the photos have no masks, which this recipe needs; give a folder of masks with --masks DIR, or a box around the "
    "object with --set capture.region=x0,y0,z0,x1,y1,z1, or the colour of a plain background with "
    "--set capture.color_key=r,g,b (0 to 255)"
)
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class CaptureOptions:
    """How to read a capture; by default everything comes from its files. Raises CaptureError on bad values."""

    masks: Path | None = None  # folder of masks named like the images, 1 (white) = object; overrides the capture's own
    region: tuple[Triple, Triple] | None = None  # (minimum, maximum) corner of a box around the object, capture units
    color_key: Triple | None = None  # background colour, 8-bit sRGB values 0..255
    color_tolerance: float = 40.0  # distance from the key, in 8-bit sRGB values, up to which a pixel is background
    max_size: int = 0  # images are scaled down so that their longer side has at most this many pixels; 0 = full size
    skip_bad_frames: bool = False  # go on without frames that cannot be used
    allow_outside: bool = False  # accept image and mask paths that leave the capture's folder
    up: str = ""  # one of +x -x +y -y +z -z; "" = from the format or the cameras
    cache_megabytes: int = 1024  # bound on decoded images kept in memory

    def __post_init__(self) -> None:
        if self.masks is not None and not isinstance(self.masks, Path):
            object.__setattr__(self, "masks", Path(self.masks))
        if self.region is not None:
            low, high = _triple("capture.region", self.region, 0), _triple("capture.region", self.region, 1)
            if not all(a < b for a, b in zip(low, high, strict=True)):
                raise CaptureError(
                    f"capture.region: the box {low} to {high} is empty; give its minimum corner first, then its maximum"
                )
            object.__setattr__(self, "region", (low, high))
        if self.color_key is not None:
            key = _triple("capture.color_key", (self.color_key,), 0)
            if not all(0 <= value <= 255 for value in key):
                raise CaptureError(f"capture.color_key: {key} is not a colour; give red, green, blue from 0 to 255")
            object.__setattr__(self, "color_key", key)
        if not 0 < self.color_tolerance <= 442:
            raise CaptureError(f"capture.color_tolerance: {self.color_tolerance} is out of range; use 1 to 442")
        if self.max_size < 0 or 0 < self.max_size < 8:
            raise CaptureError(f"capture.max_size: {self.max_size} is too small; use 0 for full size, or at least 8")
        if self.up and self.up not in UP_AXES:
            raise CaptureError(f"capture.up: {self.up!r} is not an axis; use one of {', '.join(UP_AXES)}")
        if self.cache_megabytes < 0:
            raise CaptureError(f"capture.cache_megabytes: {self.cache_megabytes} is negative; use 0 or more")


def _triple(key: str, value, index: int) -> Triple:
    try:
        x, y, z = (float(number) for number in value[index])
    except (TypeError, ValueError, IndexError) as error:
        raise CaptureError(f"{key}: {value!r} does not hold three numbers each; see `unrender run --help`") from error
    if not all(math.isfinite(number) for number in (x, y, z)):
        raise CaptureError(f"{key}: {value!r} holds a number that is not finite; give plain numbers")
    return x, y, z
