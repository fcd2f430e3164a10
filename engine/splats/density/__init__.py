"""Where splats are too few or too many while they are optimized: three strategies behind one contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.errors import RecipeError

if TYPE_CHECKING:
    from engine.splats.density.contract import DensityControl, DensityOptions

DensityName = Literal["classic", "error", "relocation"]


def density(name: DensityName, options: DensityOptions) -> DensityControl:
    """The strategy called `name`, at its beginning; RecipeError for an unknown one."""
    if name == "classic":
        from engine.splats.density.classic import ClassicDensity

        return ClassicDensity(options)
    if name == "error":
        from engine.splats.density.error_driven import ErrorDensity

        return ErrorDensity(options)
    if name == "relocation":
        from engine.splats.density.relocation import RelocationDensity

        return RelocationDensity(options)
    raise RecipeError(f"density control {name!r} is unknown; use classic, error or relocation")
