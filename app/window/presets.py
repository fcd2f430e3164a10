"""Goals as dictionaries of option values over a recipe, and recipe files; knows nothing of Qt."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import RecipeError
from engine.optimize.options import flat, set_option, to_toml
from engine.optimize.recipe import Recipe, load_recipe, recipe_names

TIMED = "object"  # the recipe whose times the presets tell


@dataclass(frozen=True)
class Preset:
    """A goal: what it promises in one sentence, roughly how long it takes, and the options it sets."""

    name: str
    title: str
    sentence: str
    minutes: float  # of recipe object with the sample capture, on two cores without a GPU
    values: dict[str, Any] = field(default_factory=dict)  # over the recipe's own; all else that presets touch goes back

    def duration(self, recipe: str) -> str:
        """The time in words that the sample capture takes with the recipe of that name; empty where it is not known."""
        if recipe != TIMED:
            return ""
        return "about a minute" if self.minutes < 1.5 else f"about {self.minutes:g} minutes"

    def described(self, recipe: str) -> str:
        """What it promises, and the time where it is known."""
        duration = self.duration(recipe)
        return f"{self.sentence} {duration.capitalize()} for the sample capture." if duration else self.sentence


PRESETS: tuple[Preset, ...] = (
    Preset(
        "quick",
        "Quick look",
        "Rough and small, to see whether photos, masks and poses are any good.",
        1,
        {
            "hull.resolution": 64,
            "volume.steps": 300,
            "volume.resolution": 64,
            "volume.rays": 2048,
            "volume.image_size": 128,
            "stereo.image_size": 0,
            "shape.steps": 250,
            "shape.mask_steps": 40,
            "shape.resolution": 48,
            "shape.image_size": 128,
            "mesh.faces": 5000,
            "mesh.texture_size": 512,
            "mesh.occlusion_rays": 16,
            "refine.steps": 120,
            "refine.image_size": 256,
            "splats.steps": 1500,
            "splats.budget": 30_000,
            "splats.image_size": 400,
        },
    ),
    Preset("balanced", "Balanced", "The recipe's own values: a clean result in little time.", 4),
    Preset(
        "best",
        "Best",
        "A finer surface and larger textures, or more splats, from more steps at the photos' full size.",
        15,
        {
            "hull.resolution": 128,
            "volume.steps": 2000,
            "volume.resolution": 128,
            "stereo.image_size": 800,
            "stereo.resolution": 192,
            "shape.steps": 1500,
            "shape.mask_steps": 100,
            "shape.resolution": 96,
            "shape.image_size": 512,
            "mesh.faces": 40000,
            "mesh.texture_size": 2048,
            "mesh.occlusion_rays": 128,
            "refine.steps": 1500,
            "refine.image_size": 0,
            "splats.steps": 30_000,
            "splats.budget": 500_000,
        },
    ),
)
TOUCHED: tuple[str, ...] = tuple(dict.fromkeys(key for preset in PRESETS for key in preset.values))


@cache
def stages_of_recipes() -> frozenset[str]:
    """Every stage that a recipe that comes with Unrender has."""
    return frozenset(stage for name in recipe_names() for stage in load_recipe(name).stages)


def preset(name: str) -> Preset:
    """The preset of that name. Raises RecipeError naming those there are."""
    for candidate in PRESETS:
        if candidate.name == name:
            return candidate
    raise RecipeError(f"unknown preset {name!r}: use one of {', '.join(candidate.name for candidate in PRESETS)}")


def values_of(name: str, defaults: Any) -> dict[str, Any]:
    """Every option a preset decides over: its own values, and those of `defaults` for what only others touch."""
    chosen, known = preset(name).values, flat(defaults)
    return {key: chosen.get(key, known[key]) for key in TOUCHED if key in known}


def apply(name: str, recipe: Any, defaults: Any) -> None:
    """Set a preset's options in `recipe`, in place; masks, region and all else the user chose stay."""
    for key, value in values_of(name, defaults).items():
        set_option(recipe, key, value)


def matching(recipe: Any, defaults: Any) -> str:
    """The preset whose options all hold in `recipe`; empty where none fits."""
    values = flat(recipe)
    for candidate in PRESETS:
        if all(values.get(key) == value for key, value in values_of(candidate.name, defaults).items()):
            return candidate.name
    return ""


def baseline(name: str, defaults: Any) -> dict[str, Any]:
    """Every option's value that counts as unchanged under a preset; the empty name means the defaults alone."""
    return flat(defaults) | (values_of(name, defaults) if name else {})


def read_recipe(path: Path) -> Recipe:
    """The recipe of a TOML file. Raises RecipeError that names file, key and allowed values."""
    if path.suffix != ".toml":
        raise RecipeError(f"{path}: a recipe is a .toml file")
    return load_recipe(path)


def write_recipe(recipe: Any, path: Path) -> Path:
    """Write a recipe as TOML with its help as comments, whole or not at all; `.toml` is added where missing.

    Raises RecipeError when the folder cannot be written.
    """
    path = path if path.suffix == ".toml" else path.with_name(path.name + ".toml")
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(to_toml(recipe))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RecipeError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from error
    return path
