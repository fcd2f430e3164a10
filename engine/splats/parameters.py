"""Splats as tensors: what is optimized."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from engine.scene.gaussians import TERMS, Gaussians, Kind


@dataclass
class SplatTensors:
    """The fields of `Gaussians` (engine/scene/gaussians.py) as tensors of one floating type and device."""

    means: Tensor  # [N,3]
    rotations: Tensor  # [N,4]
    log_scales: Tensor  # [N,3]
    logits: Tensor  # [N]
    harmonics: Tensor  # [N,K,3]
    kind: Kind = "gaussian"
    shapes: Tensor | None = None  # [N]

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """0 to 3, of the harmonics."""
        return TERMS.index(self.harmonics.shape[1])

    @property
    def megabytes(self) -> float:
        """What they take as float32, 10^6 bytes."""
        return sum(4 * tensor.numel() for tensor in self.tensors().values()) / 1e6

    def tensors(self) -> dict[str, Tensor]:
        """The tensors there are, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    @classmethod
    def of(cls, splats: Gaussians, dtype: torch.dtype = torch.float32) -> SplatTensors:
        """Copies, without gradients."""
        copies = {name: torch.tensor(array, dtype=dtype) for name, array in splats.arrays().items()}
        return cls(kind=splats.kind, **copies)

    def gaussians(self) -> Gaussians:
        """Copies, as float32 arrays."""
        copies = {name: value.detach().cpu().numpy().astype(np.float32) for name, value in self.tensors().items()}
        return Gaussians(kind=self.kind, **copies)
