"""The in-engine stochastic loop: optimization on any GPU through any shading; see `StochasticLoop`."""

from __future__ import annotations

from engine.optimize.stochastic.loop import StochasticLoop
from engine.optimize.stochastic.options import GroupOptions, LoopOptions
from engine.optimize.stochastic.scene import LoopScene, LoopView

__all__ = ["GroupOptions", "LoopOptions", "LoopScene", "LoopView", "StochasticLoop"]
