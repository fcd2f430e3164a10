"""PSNR in words."""

from __future__ import annotations

import math


def decibels(psnr: float, digits: int = 1) -> str:
    """Such as 31.2 dB; what is no number is said to be none."""
    return f"{psnr:.{digits}f} dB" if math.isfinite(psnr) else "PSNR not finite"
