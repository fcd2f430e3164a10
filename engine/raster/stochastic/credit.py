"""Credit: how per-pixel differences of a loss become the gradient of the parameters that can have caused them.

Signs s perturb all parameters of a group at once, theta +- eps s. A pixel's loss difference d_p = L_p(+) - L_p(-) is
credited once to every parameter that contributed to the pixel in either image (Deliot, Heitz, Belcour 2024, arXiv
2404.09758): gradient_i = s_i / (2 eps_i) sum of d_p over those pixels. Its mean over signs is the exact central
difference of the loss in parameter i, averaged over what the others' perturbation does, as long as eps stays well under
a primitive's size on screen. Crediting a parameter that did not contribute is unbiased and adds variance; leaving one
out is biased.

A credit rule knows which parameters contribute to which pixel, and nothing of shading. A new kind of primitive brings a
rule of its own and uses the rest as it is. What is summed is one number per parameter row, whatever its components.

Sums are taken in fixed point (int32), so that they are the same in any order, on any number of threads and on any GPU.
"""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

import numpy as np
import torch
from numba import prange
from torch import Tensor

from engine.kernels.settings import parallel_kernel

LARGEST = 2**31 - 1


class CreditRule(Protocol):
    """Which of `rows` parameter rows contributed to each pixel of two images; made anew for every pair of images."""

    rows: int

    def sums(self, fixed: np.ndarray) -> np.ndarray:
        """[rows] int32: the sum of `fixed` [H,W] int32 over the pixels credited to each row, each pixel once."""
        ...

    def pixels(self, row: int) -> np.ndarray:
        """[H,W] bool: the pixels credited to one row."""
        ...

    def support(self) -> Tensor:
        """[N,2] int64: every (pixel, row) pair that is credited, in plain torch and possibly repeated."""
        ...


RULES: dict[str, type[CreditRule]] = {}
R = TypeVar("R")


def register(name: str):
    """Class decorator: make a credit rule known by the name of what it credits."""

    def add(rule: type[R]) -> type[R]:
        RULES[name] = rule
        return rule

    return add


def fixed_point_scale(bound: float, pixels: int) -> float:
    """The largest power of two by which differences up to `bound` can be multiplied, rounded and summed over `pixels`
    pixels without leaving int32; 1 for a bound of 0.

    A power of two, so that the product is exact in float32.
    """
    if not bound > 0 or pixels < 1:
        return 1.0
    room = LARGEST / pixels - 0.5  # of one pixel, rounding included
    if room < 1:
        raise ValueError(f"differences of {pixels} pixels cannot be summed in 32 bits")
    return 2.0 ** max(min(math.floor(math.log2(room / bound)), 126), -126)


@parallel_kernel
def _subtract(plus, minus, scale, bound, out):
    height, width = out.shape
    for y_ in prange(height):
        y = np.int64(y_)
        for x in range(width):
            difference = min(max(plus[y, x] - minus[y, x], -bound), bound)
            out[y, x] = np.int32(np.rint(difference * scale))


@parallel_kernel
def _extent(plus, minus, largest, count):
    height, width = plus.shape
    for y_ in prange(height):
        y = np.int64(y_)
        most, different = np.float32(0.0), 0
        for x in range(width):
            difference = abs(plus[y, x] - minus[y, x])
            most = max(most, difference)
            different += difference != 0
        largest[y], count[y] = most, different


def difference_extent(plus: np.ndarray, minus: np.ndarray) -> tuple[float, int]:
    """(largest absolute difference of two finite images [H,W] float32, number of pixels that differ)."""
    largest, count = np.empty(len(plus), np.float32), np.empty(len(plus), np.int64)
    _extent(plus, minus, largest, count)
    return float(largest.max(initial=0)), int(count.sum())


def fixed_difference(plus: np.ndarray, minus: np.ndarray, bound: float, scale: float) -> np.ndarray:
    """[H,W] int32: round((plus - minus) scale), the difference clamped to +- bound."""
    out = np.empty(plus.shape, np.int32)
    _subtract(plus, minus, np.float32(scale), np.float32(bound), out)
    return out


def credited(
    rule: CreditRule,
    plus: np.ndarray,  # [H,W] float32 loss of every pixel at theta + eps s
    minus: np.ndarray,  # [H,W] at theta - eps s
    bound: float | None = None,  # of a pixel's difference; None measures it
) -> tuple[np.ndarray, float]:
    """(fixed-point sums [rows] int32, their scale) of the loss differences that `rule` credits to each row."""
    largest, count = difference_extent(plus, minus) if bound is None else (bound, plus.size)
    scale = fixed_point_scale(largest, count)
    return rule.sums(fixed_difference(plus, minus, largest, scale)), scale


def gradient(
    sums: np.ndarray,  # [N] int32
    scale: float,
    signs: np.ndarray,  # [N,C] float32
    eps: np.ndarray,  # broadcasts to [N,C]; a parameter with eps 0 was not moved and gets gradient 0
) -> np.ndarray:
    """[N,C] float32: sums s / (2 eps scale)."""
    eps = np.asarray(eps, np.float32)
    inverse = np.divide(np.float32(0.5 / scale), eps, out=np.zeros_like(eps), where=eps > 0)
    return sums.astype(np.float32)[:, None] * signs * inverse


def pixel_gradients(
    rule: CreditRule,
    plus: np.ndarray,  # [H,W]
    minus: np.ndarray,  # [H,W]
    row: int,
    signs: np.ndarray,  # [C] of that row
    eps: np.ndarray | float,  # of that row
) -> np.ndarray:
    """[H,W,C]: what every pixel adds to the gradient of one parameter row, which is the sum over the pixels.

    One sample is mostly noise from the other parameters; the mean over many steps is the derivative of each pixel's
    loss.
    """
    difference = np.where(rule.pixels(row), plus - minus, 0)
    return difference[..., None] * np.asarray(signs) / (2 * np.asarray(eps))


def gradient_reference(
    rule: CreditRule,
    plus: Tensor,  # [H,W] any float type
    minus: Tensor,  # [H,W]
    signs: Tensor,  # [N,C]
    eps: Tensor,  # broadcasts to [N,C]
) -> Tensor:
    """[N,C] what `credited` and `gradient` give, pair by pair in plain torch without fixed point."""
    pairs = rule.support()
    keys = torch.unique(pairs[:, 0] * rule.rows + pairs[:, 1])
    differences = (plus - minus).reshape(-1)[keys // rule.rows]
    sums = torch.zeros(rule.rows, dtype=plus.dtype).index_add(0, keys % rule.rows, differences)
    return sums[:, None] * signs * torch.where(eps > 0, 0.5 / eps, 0.0)
