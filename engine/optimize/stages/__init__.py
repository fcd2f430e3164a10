"""The links of a recipe's chain, one per file; importing this package registers them by name."""

from engine.optimize.stages import export, given, hull, mesh, refine, refine_loop, shape, stereo, volume

__all__ = ["export", "given", "hull", "mesh", "refine", "refine_loop", "shape", "stereo", "volume"]
