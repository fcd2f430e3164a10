"""From a recipe's capture section to how engine.capture reads photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import RecipeError


def capture_options(section: Any) -> Any:
    """The CaptureOptions of a `capture` section. Raises RecipeError for a region or key of the wrong length."""
    from engine.capture import CaptureOptions

    region, key = tuple(section.region), tuple(section.color_key)
    if region and len(region) != 6:
        raise RecipeError(f"capture.region = {region}: give six numbers x0,y0,z0,x1,y1,z1")
    if key and len(key) != 3:
        raise RecipeError(f"capture.color_key = {key}: give three numbers r,g,b from 0 to 255")
    return CaptureOptions(
        masks=Path(section.masks) if section.masks else None,
        region=(region[:3], region[3:]) if region else None,
        color_key=key or None,
        color_tolerance=section.color_tolerance,
        max_size=section.max_size,
        skip_bad_frames=section.skip_bad_frames,
        allow_outside=section.allow_outside,
        up=section.up,
        cache_megabytes=section.cache_megabytes,
    )
