"""A set of splats: the raw parameters, as every 3DGS file stores them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal

import numpy as np

Kind = Literal["gaussian", "exponential", "surface"]
KINDS: tuple[Kind, ...] = Kind.__args__
TERMS = (1, 4, 9, 16)  # of spherical harmonics of degree 0 to 3
COUNTED = 0.1  # least opacity of what counts where most splats are looked for
SHAPES = (0.1, 10.0)  # exponents that a generalized exponential may have
MOST = (5, 95)  # percentiles between which they lie
CONSTANT = 0.28209479177387814  # the harmonic of degree 0


@dataclass(frozen=True)
class Gaussians:
    """Splats of one kind: 3D Gaussians, generalized exponentials (arXiv 2402.10128) or flat discs (arXiv 2403.17888).

    Colour is sRGB-encoded: max(0.5 + the harmonics in the direction from the camera to the mean, 0). Raises ValueError
    for arrays whose shapes do not fit one another.
    """

    means: np.ndarray  # [N,3] float32, capture units
    rotations: np.ndarray  # [N,4] float32 quaternions w, x, y, z; of any length but zero
    log_scales: np.ndarray  # [N,3] float32, logarithm of capture units; a disc's normal is its third axis, and flat
    logits: np.ndarray  # [N] float32; opacity is their sigmoid
    harmonics: np.ndarray  # [N,K,3] float32, K = 1, 4, 9 or 16
    kind: Kind = "gaussian"
    shapes: np.ndarray | None = None  # [N] float32 exponents beta of kind exponential; 2 is a Gaussian
    antialiased: bool = False  # to be drawn with opacities that make up for the low pass (arXiv 2311.16493); not discs

    def __post_init__(self) -> None:
        count = len(self.means)
        expected = {"means": (count, 3), "rotations": (count, 4), "log_scales": (count, 3), "logits": (count,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has the shape {getattr(self, name).shape} where {shape} is needed")
        if self.harmonics.ndim != 3 or self.harmonics.shape not in [(count, terms, 3) for terms in TERMS]:
            raise ValueError(
                f"harmonics has the shape {self.harmonics.shape} where ({count}, 1, 4, 9 or 16, 3) is needed"
            )
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of splats {self.kind!r}; use one of {', '.join(KINDS)}")
        if (self.shapes is not None) != (self.kind == "exponential"):
            raise ValueError("shapes belong to splats of the kind exponential, and to no others")
        if self.shapes is not None and self.shapes.shape != (count,):
            raise ValueError(f"shapes has the shape {self.shapes.shape} where ({count},) is needed")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """0 to 3, of the harmonics."""
        return TERMS.index(self.harmonics.shape[1])

    @property
    def opacities(self) -> np.ndarray:
        """[N] float32 in (0,1)."""
        return 1 / (1 + np.exp(-self.logits))

    @property
    def megabytes(self) -> float:
        """What the parameters take, 10^6 bytes."""
        return sum(array.nbytes for array in self.arrays().values()) / 1e6

    @property
    def box(self) -> np.ndarray:
        """[2,3] least and greatest mean."""
        return np.stack([self.means.min(0), self.means.max(0)])

    @cached_property
    def most_box(self) -> np.ndarray:
        """[2,3] float64 where most of the means lie, with a margin; what is far away or faint is left out."""
        means = self.means[self.opacities > COUNTED]
        means = means if len(means) else self.means
        low, high = np.percentile(means.astype(np.float64), MOST, axis=0)
        return np.stack([low - 0.05 * (high - low), high + 0.05 * (high - low)])

    def in_box(self, box: np.ndarray | tuple[float, ...]) -> np.ndarray:
        """[N] whether the means lie in a box, its least and greatest corner [2,3] or as six numbers, capture units."""
        low, high = np.sort(np.asarray(box, np.float64).reshape(2, 3), axis=0)
        return ((self.means >= low) & (self.means <= high)).all(1)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays there are, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def select(self, chosen: np.ndarray) -> Gaussians:
        """The splats of a boolean mask [N] or of indices, in that order."""
        return replace(self, **{name: array[chosen] for name, array in self.arrays().items()})


def joined(first: Gaussians, second: Gaussians) -> Gaussians:
    """The splats of two sets of one kind and degree, one after the other."""
    others = second.arrays()
    return replace(first, **{name: np.concatenate([array, others[name]]) for name, array in first.arrays().items()})
