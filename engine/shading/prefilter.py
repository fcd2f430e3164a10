"""An equirectangular light blurred once per roughness, and once to irradiance: the first half of the split sum.

With normal = view = reflection (Karis 2013) a lobe depends only on the angle between two directions, so every blur is,
along a row of the map, a circular convolution: a fixed real matrix per Fourier mode. The gradient is its transpose,
which autograd takes. Lobes cut short and stretched at grazing angles are not represented: that is the split sum's bias.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.shading.equirectangular import pad

ROUGHNESS_LEVELS = 8  # of roughness i / 7; level 0 is the mirror and holds the radiance itself


@dataclass(frozen=True)
class PrefilteredLight:
    """An environment ready for `shade`, in the environment's own frame; gradients flow back to the radiance."""

    levels: Tensor  # [L+1,H,W,3] linear radiance: L blurs of roughness i / (L-1), then irradiance / pi
    padded: Tensor  # [L+1,H+2,W+2,4] the same with borders, as the kernels read it

    @property
    def radiance(self) -> Tensor:
        """[H,W,3] the unfiltered light."""
        return self.levels[0]

    @property
    def specular(self) -> Tensor:
        """[L,H,W,3] radiance blurred by the GGX lobe of roughness i / (L-1)."""
        return self.levels[:-1]

    @property
    def diffuse(self) -> Tensor:
        """[H,W,3] irradiance / pi for each direction of the normal."""
        return self.levels[-1]


def _lobe(cosine: np.ndarray, alpha: float | None) -> np.ndarray:
    """Weight of light at `cosine` from the lobe's axis; alpha None is the cosine lobe of irradiance."""
    cosine = np.clip(cosine, 0, 1)
    if alpha is None:
        return cosine
    half_square = (1 + cosine) / 2
    return cosine / (half_square * (alpha * alpha - 1) + 1) ** 2  # D(h) n.l, unnormalised


def _rows(height: int, width: int, alpha: float | None) -> np.ndarray:
    """[H,H,W/2+1] weight on output rows of input rows at column offsets 0..W/2; each output's weights sum to 1."""
    texel = np.pi / height
    parts = 2 if alpha is None else int(np.clip(np.ceil(texel / (0.5 * alpha)), 2, 12))
    theta = (np.arange(height) + 0.5) * texel
    offset = np.arange(width // 2 + 1) * (2 * np.pi / width)
    inside = (np.arange(parts) + 0.5) / parts - 0.5
    weight = np.zeros((height, height, len(offset)))
    for down in inside:
        inner = theta + down * texel
        upright = np.cos(theta)[:, None] * np.cos(inner)
        level = np.sin(theta)[:, None] * np.sin(inner)
        for along in inside:
            turned = np.cos(offset + along * (2 * np.pi / width))
            weight += _lobe(upright[..., None] + level[..., None] * turned, alpha) * np.sin(inner)[None, :, None]
    full = np.full(len(offset), 2.0)  # offsets stand for both sides, but for 0 and W/2
    full[0] = full[-1] = 1
    return weight / (weight * full).sum((1, 2), keepdims=True)


@functools.lru_cache(maxsize=4)
def fourier_operators(height: int, width: int, levels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[W/2+1, H, L*H] for each Fourier mode the matrix from input rows to the rows of L-1 blurs and the irradiance."""
    blurs = []
    for alpha in [(level / (levels - 1)) ** 2 for level in range(1, levels)] + [None]:
        half = _rows(height, width, alpha)
        whole = np.concatenate([half, half[..., -2:0:-1]], -1)
        blurs.append(np.fft.rfft(whole, axis=-1).real)  # even in the offset, so real
    stacked = np.stack(blurs).transpose(3, 2, 0, 1).reshape(width // 2 + 1, height, levels * height)
    return torch.tensor(np.ascontiguousarray(stacked), dtype=dtype, device=device).contiguous()


def prefilter(radiance: Tensor, levels: int = ROUGHNESS_LEVELS) -> PrefilteredLight:
    """The light of an equirectangular `radiance` [H,W,3], ready to shade with; linear and differentiable in it.

    A constant stays that constant. H x W of 32x64 to 128x256 are meant; the operators (H^2 W L / 2 numbers) are built
    once per size and kept. Raises ValueError if W is odd, since the poles join texels half a turn apart.
    """
    height, width = radiance.shape[:2]
    if width % 2:
        raise ValueError(f"an environment map must have an even width, not {width}")
    operators = fourier_operators(height, width, levels, radiance.dtype, radiance.device)
    modes = torch.view_as_real(torch.fft.rfft(radiance, dim=1)).permute(1, 2, 3, 0)  # [M,3,2,H]
    modes = modes.flatten(1, 2).contiguous()
    rows = torch.bmm(modes, operators)  # rows last and contiguous: 18 times faster than channels last
    rows = rows.view(-1, 3, 2, levels, height).permute(3, 4, 0, 1, 2).contiguous()
    blurred = torch.fft.irfft(torch.view_as_complex(rows), n=width, dim=2)
    maps = torch.cat([radiance[None], blurred])
    return PrefilteredLight(maps, pad(maps))
