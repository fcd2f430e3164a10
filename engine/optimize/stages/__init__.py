"""The links of a recipe's chain, one per file; importing this package registers them by name."""

from engine.optimize.stages import (
    blackbox,
    cage,
    export,
    fuse,
    given,
    hull,
    mesh,
    refine,
    refine_loop,
    shape,
    splats,
    stereo,
    stochastic_splats,
    subdivision,
    volume,
)

__all__ = [
    "blackbox",
    "cage",
    "export",
    "fuse",
    "given",
    "hull",
    "mesh",
    "refine",
    "refine_loop",
    "shape",
    "splats",
    "stereo",
    "stochastic_splats",
    "subdivision",
    "volume",
]
