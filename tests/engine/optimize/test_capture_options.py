"""Whatever can be said about a capture is an option of recipes, and reaches the reader."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from engine.capture import CaptureOptions
from engine.errors import RecipeError
from engine.optimize.capture_options import capture_options
from engine.optimize.recipe import CaptureSection, load_recipe

OTHER = {
    "masks": ("silhouettes", Path("silhouettes")),
    "region": ("-1,-2,-3,1,2,3", ((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0))),
    "color_key": ("1,2,3", (1.0, 2.0, 3.0)),
    "color_tolerance": ("12.5", 12.5),
    "max_size": ("64", 64),
    "skip_bad_frames": ("true", True),
    "allow_outside": ("true", True),
    "up": ("+y", "+y"),
    "cache_megabytes": ("100", 100),
}


def test_the_recipe_asks_for_what_the_reader_does_by_itself():
    assert capture_options(CaptureSection()) == CaptureOptions()


@pytest.mark.parametrize("name", [item.name for item in fields(CaptureOptions)])
def test_every_option_of_the_reader_can_be_set(name):
    text, value = OTHER[name]
    section = load_recipe("object", [f"capture.{name}={text}"]).capture
    assert getattr(capture_options(section), name) == value != getattr(CaptureOptions(), name)


@pytest.mark.parametrize("tolerance", ["0.5", "443", "nan"])
def test_a_tolerance_out_of_range_is_refused(tolerance):
    with pytest.raises(RecipeError, match="capture.color_tolerance.*1 to 442"):
        load_recipe("object", [f"capture.color_tolerance={tolerance}"])
