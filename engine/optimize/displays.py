"""What a preview can show of a surface and of splats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.optimize.snapshot import SceneSnapshot

Display = Literal[
    "shaded",
    "base_color",
    "roughness",
    "metallic",
    "normal",
    "depth",
    "wireframe",
    "light",
    "triangle_id",
    "quality",
    "opacity",
    "outlines",
    "density",
]
KNOWN: tuple[Display, ...] = Display.__args__
SPLAT_DISPLAYS: tuple[Display, ...] = ("shaded", "base_color", "normal", "depth", "opacity", "outlines", "density")
DISPLAYS: tuple[Display, ...] = KNOWN[: KNOWN.index("opacity")]  # of surfaces and volumes
INSTEAD: dict[Display, Display] = {"wireframe": "outlines", "outlines": "wireframe"}  # others: shaded


def displays_of(snapshot: SceneSnapshot | None) -> tuple[Display, ...]:
    """The displays that make sense for a snapshot."""
    return SPLAT_DISPLAYS if snapshot is not None and snapshot.shows_splats else DISPLAYS


def shown_display(display: Display, among: tuple[Display, ...]) -> Display:
    """`display` or what is shown instead where it is not `among` those there are; ValueError for an unknown one."""
    if display not in KNOWN:
        raise ValueError(f"unknown display {display!r}; use one of {', '.join(among)}")
    return display if display in among else INSTEAD.get(display, "shaded")
