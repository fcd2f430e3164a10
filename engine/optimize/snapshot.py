"""The scene of a moment, copied, for those who look at it while steps go on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.scene import Backdrop, Environment, Gaussians, Material, Mesh

if TYPE_CHECKING:
    from torch import Tensor

    from engine.capture import Capture
    from engine.optimize.recipe import SplatsSection


@dataclass(frozen=True)
class VolumeSnapshot:
    """A copied radiance volume (engine/geometry/radiance_volume.py) to march from any camera."""

    box: np.ndarray  # [2,3]
    slot: np.ndarray  # [R+1,R+1,R+1] int32 row of `values` at each grid corner, -1 = empty
    values: np.ndarray  # [N,4] float32 raw density, raw sRGB-encoded colour


@dataclass(frozen=True)
class SplatLook:
    """What splats were trained with and do not hold themselves."""

    background: tuple[float, float, float] | Backdrop | None = None  # sRGB-encoded, behind all; None: they stand free
    ignoring: bool = False  # masks tell what of the photos to leave out, whatever is there: nothing compares it

    @classmethod
    def trained(cls, options: SplatsSection, capture: Capture, backdrop: Backdrop | None = None) -> SplatLook:
        """Free-standing where masks showed an object, else before what was learned, or over their background."""
        ignoring = capture.has_masks and options.masks == "ignore"
        if backdrop is not None:
            return cls(backdrop, ignoring)
        free = capture.has_masks and options.masks == "object"
        background = None if free else ((1.0, 1.0, 1.0) if options.background == "white" else (0.0, 0.0, 0.0))
        return cls(background, ignoring)


@dataclass(frozen=True)
class SceneSnapshot:
    """Immutable; arrays are copies that nothing else writes to, and are shared by snapshots between which they stayed.

    A volume is there instead of a mesh while the stage `volume` runs, and splats from the stage `splats` on until a
    mesh is made of them.
    """

    stage: str  # that runs, or the last one done where none has begun
    total_step: int
    version: int  # grows with every snapshot of a session
    mesh: Mesh | None = None  # None before there is any surface
    vertex_colors: np.ndarray | None = None  # [V,5] linear base colour, roughness, metallic, where there is no texture
    material: Material | None = None  # where the mesh has texture coordinates
    environment: Environment | None = None  # the light so far
    volume: VolumeSnapshot | None = None
    box: np.ndarray | None = None  # [2,3] where the object is
    gaussians: Gaussians | None = None
    splat_look: SplatLook = SplatLook()
    splat_scores: np.ndarray | None = None  # [N] how much each splat asks to grow, where density control knows

    cameras: Mapping[str, Tensor] = field(default_factory=dict)  # what moved them (refined_cameras.py); empty: nothing

    @property
    def shows_splats(self) -> bool:
        """Whether its splats are what is to be seen."""
        return self.gaussians is not None and len(self.gaussians) > 0 and self.mesh is None


class SnapshotSlot:
    """One place for the newest snapshot; any thread may put and look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: SceneSnapshot | None = None

    def put(self, snapshot: SceneSnapshot) -> None:
        """Replace what is there, unless that is newer."""
        with self._lock:
            if self._newest is None or snapshot.version > self._newest.version:
                self._newest = snapshot

    def newest(self) -> SceneSnapshot | None:
        """The newest snapshot, which stays; None before the first."""
        with self._lock:
            return self._newest
