"""The scene of a moment, copied, for those who look at it while steps go on."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from engine.scene import Environment, Material, Mesh


@dataclass(frozen=True)
class VolumeSnapshot:
    """A copied radiance volume (engine/geometry/radiance_volume.py) to march from any camera."""

    box: np.ndarray  # [2,3]
    slot: np.ndarray  # [R+1,R+1,R+1] int32 row of `values` at each grid corner, -1 = empty
    values: np.ndarray  # [N,4] float32 raw density, raw sRGB-encoded colour


@dataclass(frozen=True)
class SceneSnapshot:
    """Immutable; arrays are copies that nothing else writes to, and are shared by snapshots between which they stayed.

    A volume is there instead of a mesh while the stage `volume` runs.
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
