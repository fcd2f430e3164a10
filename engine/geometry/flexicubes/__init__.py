"""FlexiCubes (Shen et al. 2023): differentiable iso-surface extraction on a deformable grid."""

from engine.geometry.flexicubes.extraction import Extraction
from engine.geometry.flexicubes.lazy_adam import LazyAdam
from engine.geometry.flexicubes.surface import FlexiCubes

__all__ = ["Extraction", "FlexiCubes", "LazyAdam"]
