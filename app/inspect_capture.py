"""`unrender doctor`: what a capture holds and what is wrong with it, in plain words; imports no torch."""

from __future__ import annotations

from pathlib import Path

from engine.optimize.options import set_option
from engine.optimize.recipe import Recipe


def capture_options(recipe: Recipe):
    """The recipe's capture section as the reader's options."""
    from engine.capture import CaptureOptions

    section = recipe.capture
    region = tuple(section.region)
    return CaptureOptions(
        masks=Path(section.masks) if section.masks else None,
        region=(region[:3], region[3:]) if region else None,
        color_key=tuple(section.color_key) or None,
        max_size=section.max_size,
        skip_bad_frames=section.skip_bad_frames,
        allow_outside=section.allow_outside,
        up=section.up,
        cache_megabytes=section.cache_megabytes,
    )


def doctor(path: Path, overrides: list[str]) -> int:
    """Print the report; 1 when there is a problem that would stop or spoil a run."""
    from engine.capture.doctor import examine

    recipe = Recipe()
    for override in overrides:
        key, _, value = override.partition("=")
        set_option(recipe, key, value)
    report = examine(path, capture_options(recipe))
    for line in report.lines():
        print(line)
    return 1 if report.problems else 0
