"""How the stochastic loop moves each group of parameters, and what it compares; plain numbers, no GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import RecipeError

GroupName = Literal[
    "vertices", "base_color", "roughness_metallic", "normal_map", "environment", "camera_pose", "displacement"
]

# As engine/kernels/signs.py numbers them.
GROUPS: dict[str, int] = {
    "vertices": 0,
    "base_color": 1,
    "roughness_metallic": 2,
    "normal_map": 3,
    "environment": 4,
    "camera_pose": 5,
    "displacement": 6,
}

TEXTURES = ("base_color", "roughness_metallic", "normal_map")  # groups of at most three of a texture's channels

LARGEST = 1e6  # eps or rate of a group


@dataclass(frozen=True)
class GroupOptions:
    """One group's perturbation and step; both go geometrically from their first value to their last."""

    eps: (
        float  # vertices, poses, displacement: pixels; textures: the channel's own unit; environment: shares of a texel
    )
    # Largest step, in mean edge lengths (vertices, displacement), pixels (poses), the channel's own unit (textures) or
    # of the logarithm (light).
    rate: float
    eps_end: float | None = None  # None: as eps
    rate_end: float | None = None
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        for name in ("eps", "rate", "eps_end", "rate_end"):
            value = getattr(self, name)
            if not (value is None and name.endswith("_end")) and not 0 < value < LARGEST:
                raise RecipeError(f"stochastic loop: {name} = {value} of a group is out of range; give it above 0")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                value = getattr(self, name)
                raise RecipeError(f"stochastic loop: {name} = {value} of a group is out of range; give 0 to below 1")

    def at(self, share: float) -> tuple[float, float]:
        """(eps, rate) after `share` in [0,1] of the schedule's steps."""
        share = min(max(share, 0.0), 1.0)
        ends = (self.eps, self.eps_end or self.eps), (self.rate, self.rate_end or self.rate)
        eps, rate = (first * (last / first) ** share for first, last in ends)
        return eps, rate


def _groups() -> dict[str, GroupOptions]:
    # Textures' slopes have no noise: a small eps keeps dark colours from 0, where differences are one-sided. A shading
    # in steps needs a larger one.
    return {
        "vertices": GroupOptions(0.6, 0.4, eps_end=0.3, rate_end=0.05, beta2=0.99),
        "base_color": GroupOptions(0.02, 0.04, rate_end=0.004, beta1=0.3, beta2=0.99),
        "roughness_metallic": GroupOptions(0.02, 0.01, rate_end=0.002, beta2=0.99),
        "normal_map": GroupOptions(0.02, 0.01, rate_end=0.002, beta2=0.99),
        "environment": GroupOptions(0.1, 0.05, rate_end=0.005, beta2=0.99),
        "camera_pose": GroupOptions(0.35, 0.1, rate_end=0.01, beta2=0.99),
        "displacement": GroupOptions(0.5, 0.1, eps_end=0.3, rate_end=0.02, beta2=0.99),
    }


@dataclass(frozen=True)
class LoopOptions:
    """What the loop optimizes, in which order, and what it compares with the photos."""

    order: tuple[str, ...] = ("vertices",)  # the group of each step, over and over
    steps: int = 1000  # length of the schedules of eps and rate; the loop may go on beyond it
    groups: dict[str, GroupOptions] = field(default_factory=_groups)
    seed: int = 0
    loss: Literal["l1", "mse"] = "l1"
    tone: Literal["linear", "log"] = "log"  # what is compared: radiance, or `shading.tone.log_tonemap` of it
    mask: float = 0.2  # weight of the squared error of the coverage
    limit: float = 2.0  # most that one pixel's loss may differ between the two sides; more is cut off
    smoothness: float = 8.0  # lambda of large steps
    iterations: int = 10  # of Chebyshev-Jacobi for each of large steps' two solves
    smooth_normals: bool = True  # whether the shading reads vertex normals, whose one-rings are then credited
    cull_backfaces: bool = False
    # Share of each new sample in a recursive estimate of the vertices' gradient, whose noise shrinks with the steps'
    # size at the cost of drawing twice as often (engine/raster/stochastic/recursive.py); 1: none.
    recursion: float = 1.0
    # Whether credit is summed in floating point: finer than fixed point where one pixel's difference is far above the
    # others', but not the same bits in every run, and only where the adapter has shader-float32-atomic.
    float_atomics: bool = False
    check_every: int = 50  # steps between two looks at the counters and two copies of the state to the host

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.order, *self.groups) if name not in GROUPS]
        if unknown:
            raise RecipeError(f"stochastic loop: no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
        if not self.order:
            raise RecipeError("stochastic loop: `order` is empty; name at least one group of parameters")
        missing = [name for name in self.order if name not in self.groups]
        if missing:
            raise RecipeError(f"stochastic loop: group {missing[0]!r} has no options; add them to `groups`")
        if self.iterations < 1 or self.check_every < 1 or self.steps < 1:
            raise RecipeError("stochastic loop: iterations, check_every and steps must be at least 1")
        for name in ("mask", "smoothness"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise RecipeError(
                    f"stochastic loop: {name} = {value} is out of range; give a finite number of 0 or more"
                )
        if not 0 < self.recursion <= 1:
            raise RecipeError(
                f"stochastic loop: recursion = {self.recursion} is out of range; give a number above 0, at most 1"
            )
        if not 0 < self.limit < math.inf:
            raise RecipeError(f"stochastic loop: limit = {self.limit} is out of range; give a finite number above 0")
